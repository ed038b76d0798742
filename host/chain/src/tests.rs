//! What answers of a chain are taken for, in each of its shapes.

use super::*;

#[test]
fn only_a_known_word_decides_a_vote() {
    let of = |status: &str| {
        answer(
            &ChainProfile::LUCID,
            format!(r#"{{"vote_id":"v-1","status":"{status}"}}"#).as_bytes(),
            Some("v-1"),
        )
        .unwrap()
    };
    assert!(matches!(of("Accepted"), VoteAnswer::Accepted { .. }));
    assert!(matches!(of("rejected"), VoteAnswer::Rejected { .. }));
    assert!(matches!(of("pending"), VoteAnswer::Undecided { .. }));
    assert!(matches!(of("what is this"), VoteAnswer::Undecided { .. }));
    assert!(matches!(
        answer(&ChainProfile::LUCID, br#"{"vote_id":"v-1"}"#, None),
        Ok(VoteAnswer::Accepted { .. })
    ));
}

#[test]
fn an_answer_about_another_vote_or_about_none_decides_nothing() {
    for body in [
        r#"{"vote_id":"v-2","status":"accepted"}"#,
        r#"{"vote_id":"","status":"accepted"}"#,
        "<html>",
        "{}",
    ] {
        assert!(answer(&ChainProfile::LUCID, body.as_bytes(), Some("v-1")).is_err(), "{body}");
    }
}

#[test]
fn where_votes_cannot_be_polled_their_answer_decides_and_an_unknown_word_is_for_a_person() {
    let of = |status: &str| {
        let body = format!(
            r#"{{"vote_id":"vote_1796061789","status":"{status}","submitted_at":"2026-01-01T00:00:00","block_height":7}}"#
        );
        answer(&ChainProfile::BLOCKCHAIN_CORE, body.as_bytes(), None).unwrap()
    };
    assert!(matches!(of("accepted"), VoteAnswer::Accepted { .. }));
    assert!(
        matches!(of("pending"), VoteAnswer::Accepted { ref status, .. } if status == "pending")
    );
    assert!(matches!(of("rejected"), VoteAnswer::Rejected { .. }));
    assert!(
        matches!(of("postponed"), VoteAnswer::Rejected { ref reason } if reason.contains("postponed"))
    );
}

#[test]
fn a_block_is_read_in_the_words_of_its_profile_alone_and_in_a_list() {
    let (lucid, core) = (ChainProfile::LUCID, ChainProfile::BLOCKCHAIN_CORE);
    let expected = BlockRef { id: "b-7".into(), hash: "aa".into() };
    assert_eq!(
        lucid.block(br#"{"block_id":"b-7","block_hash":"aa","height":7}"#),
        Ok(expected.clone())
    );
    assert_eq!(
        core.block(br#"{"block_id":"b-7","hash":"aa","height":7,"difficulty":1.5}"#),
        Ok(expected.clone())
    );
    assert_eq!(core.block(br#"{"blocks":[{"block_id":"b-7","hash":"aa"},{"block_id":"b-6","hash":"bb"}],"pagination":{"page":1}}"#), Ok(expected));
    let misnamed = lucid.block(br#"{"block_id":"b-7","hash":"aa"}"#).unwrap_err();
    assert!(
        misnamed.contains("no block_hash") && misnamed.contains("BLOCKCHAIN_PROFILE"),
        "{misnamed}"
    );
    for body in [
        r#"{"block_id":"b-7"}"#,
        r#"{"block_id":"","hash":"aa"}"#,
        r#"{"hash":"aa"}"#,
        r#"{"blocks":[]}"#,
        "[]",
        "<html>",
    ] {
        assert!(core.block(body.as_bytes()).is_err(), "{body}");
    }
}
