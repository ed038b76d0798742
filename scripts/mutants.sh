#!/usr/bin/env bash
# Changes one rule of money at a time, and sees that the simulated worlds notice. Works in a copy under target/mutants. Each mutant is built and
# tried until a world goes wrong: about two minutes each. Exit 1 if one goes unnoticed.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=target/mutants/tree
rm -rf "$tree"
mkdir -p target/mutants
git worktree prune
git worktree add --force --detach "$tree" HEAD > /dev/null
trap 'git worktree remove --force "$tree"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/mutants/target}"

machine=host/model/src/money/payout/machine.rs
rail=host/service/money/src/payer/rail.rs
freeze=host/service/money/src/payer/freeze.rs
pace=host/model/src/money/payout/pace.rs
settle=host/service/money/src/settle.rs
unnoticed=0

mutant() { # what, file, what is there once, what is there instead
    git -C "$tree" checkout --quiet .
    python3 - "$tree/$2" "$3" "$4" << 'PY'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
assert text.count(old) == 1, f"{path} has this {text.count(old)} times: {old}"
open(path, "w").write(text.replace(old, new))
PY
    log=$(mktemp)
    if ! (cd "$tree" && cargo test --locked --workspace --test suite --no-run) > "$log" 2>&1; then
        echo "DOES NOT BUILD  $1"; tail -n 20 "$log"; unnoticed=1
    elif (cd "$tree" && SEEDS=${SEEDS:-20000} cargo test --locked --workspace --test suite simulation::money) > "$log" 2>&1; then
        echo "UNNOTICED       $1"; unnoticed=1
    else
        echo "caught          $1: $(grep -m 1 -o 'SEED=.*' "$log")"
    fi
    rm -f "$log"
}

mutant "retry at a rail that does not dedupe" $machine \
    'let mut machine = Machine { payout: payout.clone(), rules: *rules, now };' \
    'let can = Capabilities { dedupes_by_key: true, ..rules.can }; let mut machine = Machine { payout: payout.clone(), rules: Rules { can, ..*rules }, now };'
mutant "a new key on retry" $rail \
    'rail.send(payout, &request).await' \
    'rail.send(&Payout { id: lucid_model::id::PayoutId::derive(self.family, payout.cycle, payout.node, 1_000 + payout.sends), ..payout.clone() }, &request).await'
mutant "release on not found" $machine \
    '.hand_over("the rail does not know it, and would not recognise a second send")' \
    '.finish(PayoutState::Failed)'
mutant "release on a refusal after a send in doubt" $machine \
    'Answer::Rejected(reason) if self.payout.sends == 1 && !self.payout.ambiguous => {' \
    'Answer::Rejected(reason) => {'
mutant "release on failed after a transaction" $machine \
    'if self.rules.can.failed_is_final && self.payout.txid.is_none() {' \
    'if self.rules.can.failed_is_final {'
mutant "book what one computed oneself instead of what was kept" $settle \
    'for pool in &distribution.pools {' \
    'for pool in &self.distribute(period).await?.pools {'
mutant "frozen is said while a request may be on its way" $freeze \
    'if alone_ms > self.config.payer_limits.timeout_ms && tenure.is_good() {' \
    'if alone_ms >= 0 && tenure.is_good() {'
mutant "no wait after a send" $pace \
    'jittered(self.send_first_ms.saturating_mul(1 << doublings).min(self.send_max_ms), payout)' \
    'jittered(self.send_first_ms.saturating_mul(1 << doublings).min(1), payout)'
exit $unnoticed
