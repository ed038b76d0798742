#!/usr/bin/env bash
# Provides a Rust toolchain that builds WebAssembly components, and prints the path of an env file to source:
#
#   ( . "$(scripts/wasm-toolchain.sh)"; cargo build --release --target wasm32-unknown-unknown )
#
# Source it in a subshell: it sets RUSTC, which must not leak into builds of the host.
# First choice is the ordinary `rustup target add`; where the target cannot be had that way, Debian's web
# toolchain is unpacked (not installed) into the cache and its std is built once (about 75 s, 640 MB).
set -euo pipefail
target=wasm32-unknown-unknown
cache=$(realpath -m "${WASM_TOOLCHAIN_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/lucid/wasm-toolchain}")
env_file=$cache/env.sh
note() { printf 'wasm-toolchain: %s\n' "$*" >&2; }

linker_dir=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
flags="-Clink-arg=--wasm-ld-path=$linker_dir/gcc-ld/wasm-ld -Clink-arg=-zstack-size=65536"
write_env() { # $1: a line that chooses the compiler
    mkdir -p "$cache"
    cat > "$env_file" <<ENV
$1
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker_dir/wasm-component-ld
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags"
ENV
    echo "$env_file"
}

if [ -f "$cache/.complete" ]; then
    write_env "export RUSTC=$cache/rustc"
    exit
fi
if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || timeout 120 rustup target add "$target" >&2 2>/dev/null; then
    note "using rustup's $target"
    write_env "unset RUSTC"
    exit
fi

note "rustup has no $target here; preparing Debian's rustc-web in $cache"
root=(); [ "$(id -u)" = 0 ] || root=(sudo)
rm -rf "$cache"
mkdir -p "$cache/packages" "$cache/root" "$cache/seed/src"
cd "$cache/packages"
"${root[@]}" apt-get update -qq >&2
depends() { apt-cache depends "$1" | awk -v re="$2" '$1 == "Depends:" && $2 ~ re { print $2; exit }'; }
std_package=$(depends libstd-rust-web-dev '^libstd-rust-web-[0-9]')
llvm_package=$(depends "$std_package" '^libllvm')
apt-get -o APT::Sandbox::User=root download -q rustc-web libstd-rust-web-dev rust-web-src "$std_package" "$llvm_package" >&2
for package in *.deb; do dpkg -x "$package" "$cache/root"; done
cd "$cache"
rm -rf packages
usr=$cache/root/usr
# Only library/ of the compiler's sources is needed.
for unused in tests compiler src/doc src/tools src/llvm-project; do rm -rf "$usr"/src/rustc-*/"$unused"; done
cat > rustc <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec $usr/bin/rustc "\$@"
WRAPPER
chmod +x rustc
./rustc -V >&2

# A crate that uses nothing makes cargo build std for the target; its artefacts become part of the sysroot.
cat > seed/Cargo.toml <<'SEED'
[package]
name = "seed"
version = "0.0.0"
edition = "2021"
[profile.release]
panic = "abort"
opt-level = 3
codegen-units = 1
[workspace]
SEED
: > seed/src/lib.rs
( cd seed
  RUSTC=$cache/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Cembed-bitcode=yes \
      cargo build -q --release -Zbuild-std=std,panic_abort --target $target >&2 )
sysroot_lib=$usr/lib/rustlib/$target/lib
mkdir -p "$sysroot_lib"
cp seed/target/$target/release/deps/*.rlib seed/target/$target/release/deps/*.rmeta "$sysroot_lib"/
rm -rf "$sysroot_lib"/libseed-* seed
touch .complete
note "ready: $(du -sh "$cache" | cut -f1)"
write_env "export RUSTC=$cache/rustc"
