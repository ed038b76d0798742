use super::*;

#[test]
fn a_suspension_returns_a_node_to_what_it_was() {
    let mut node = example();
    node.apply(NodeEvent::Activate, TimeMs(5)).unwrap();
    node.apply(NodeEvent::Suspend { reason: "abuse".into(), until: None }, TimeMs(6)).unwrap();
    assert!(node.apply(NodeEvent::Activate, TimeMs(7)).is_err());
    node.apply(NodeEvent::Suspend { reason: "longer".into(), until: Some(TimeMs(9)) }, TimeMs(8))
        .unwrap();
    node.apply(NodeEvent::LiftSuspension, TimeMs(9)).unwrap();
    assert_eq!(
        (node.status, node.activated_at, node.suspension),
        (NodeStatus::Active, Some(TimeMs(5)), None)
    );
}

#[test]
fn a_node_is_not_paid_without_a_wallet_while_suspended_or_while_its_wallet_cools_down() {
    let hold = |version: Option<u32>, status: NodeStatus, now: i64| {
        let address = "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap();
        let wallet = version.map(|version| Wallet { address, version, since: TimeMs(1_000) });
        Node { wallet, status, ..example() }.payout_hold(TimeMs(now), 72)
    };
    assert_eq!(hold(None, NodeStatus::Active, 2_000), Some(PayoutHold::NoWallet));
    assert_eq!(hold(None, NodeStatus::Suspended, 2_000), Some(PayoutHold::NoWallet));
    assert_eq!(hold(Some(1), NodeStatus::Suspended, 2_000), Some(PayoutHold::Suspended));
    assert_eq!(hold(Some(1), NodeStatus::Active, 1_001), None, "a first wallet");
    assert_eq!(hold(Some(2), NodeStatus::Active, 1_071), Some(PayoutHold::WalletCoolingDown));
    assert_eq!(hold(Some(2), NodeStatus::Active, 1_072), None);
}

#[test]
fn nothing_happens_to_a_node_that_is_gone() {
    let mut node = example();
    node.apply(NodeEvent::Deregister, TimeMs(1)).unwrap();
    for event in [
        NodeEvent::Activate,
        NodeEvent::Deactivate,
        NodeEvent::Deregister,
        NodeEvent::GoSilent,
        NodeEvent::Return,
    ] {
        assert!(node.apply(event, TimeMs(2)).is_err());
    }
    assert!(!node.is_live());
}
