//! Answers that are well formed and untrue.

use serde_json::Value;

use super::Answer;
use crate::{amount::MicroUsdt, reply::Reply};

const ID_FIELDS: [&str; 5] = ["payout_id", "external_id", "reference", "vote_id", "block_id"];

/// Changes what a successful reply says; a refusal stays as it is.
pub(crate) fn disguise(answer: &Answer, reply: &mut Reply) {
    if !reply.status.is_success() {
        return;
    }
    match answer {
        Answer::WrongAmount => {
            if let Some(amount) = reply.text("amount").and_then(MicroUsdt::parse) {
                set(reply, "amount", amount.neighbour().to_string());
            }
        }
        Answer::WrongId => {
            for field in ID_FIELDS {
                perturb(reply, field);
            }
        }
        Answer::WrongAddress => perturb(reply, "recipient_address"),
        Answer::Failed => end(reply, "failed"),
        Answer::Cancelled => end(reply, "cancelled"),
        _ => {}
    }
}

fn end(reply: &mut Reply, status: &str) {
    set(reply, "status", status.to_owned());
    set(reply, "reason", "a planned fault".to_owned());
}

/// Makes a reply look like another one's where no other one exists.
pub(crate) fn deface(reply: &mut Reply) {
    for field in ID_FIELDS.into_iter().chain(["recipient_address", "block_hash"]) {
        perturb(reply, field);
    }
}

/// Changes the last character, so that the value keeps its shape.
fn perturb(reply: &mut Reply, field: &str) {
    let Some(mut text) = reply.text(field).map(str::to_owned) else {
        return;
    };
    let last = if text.pop() == Some('1') { '2' } else { '1' };
    text.push(last);
    set(reply, field, text);
}

fn set(reply: &mut Reply, field: &str, text: String) {
    reply.body.insert(field.to_owned(), Value::String(text));
}
