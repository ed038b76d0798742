//! The stream of events: filters, whose events one sees, going on after a cut.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Lucid, block_on, node::TestNode};

/// A reader of a stream: begins to listen, takes events.
struct Reader {
    answer: reqwest::Response,
    text: String,
}

impl Reader {
    fn listen(lucid: &Lucid, token: &str, query: &str, after: Option<&str>) -> Self {
        let client = crate::support::http().timeout(Duration::from_secs(60)).build().unwrap();
        let mut request =
            client.get(format!("{}/api/v1/events{query}", lucid.base)).bearer_auth(token);
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let answer = block_on(async { request.send().await.unwrap() });
        assert_eq!(answer.status(), 200);
        Self { answer, text: String::new() }
    }

    /// The next event: its id and its data.
    fn next(&mut self) -> (Option<String>, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                let found =
                    line("data:").map(|data| (line("id:"), serde_json::from_str(&data).unwrap()));
                self.text = rest.to_owned();
                match found {
                    Some(found) => return found,
                    None => continue,
                }
            }
            let chunk = block_on(async { self.answer.chunk().await.unwrap().unwrap() });
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[test]
fn a_stream_that_was_cut_off_goes_on_after_the_last_event_it_saw() {
    let lucid = Lucid::serve();
    let root = lucid.token("root", "admin");
    let mut reader = Reader::listen(&lucid, &root, "?type=node.registered", None);
    let first = TestNode::register(&lucid, "alice", 1);
    let (seen, event) = reader.next();
    assert_eq!(event["data"]["node_id"], first.id.to_string(), "{event}");
    drop(reader);

    let missed = [TestNode::register(&lucid, "alice", 2), TestNode::register(&lucid, "bob", 3)];
    let mut reader = Reader::listen(&lucid, &root, "?type=node.registered", seen.as_deref());
    for node in &missed {
        assert_eq!(reader.next().1["data"]["node_id"], node.id.to_string());
    }
    let later = TestNode::register(&lucid, "alice", 4);
    assert_eq!(reader.next().1["data"]["node_id"], later.id.to_string(), "each once, in order");

    // Of another process, or too old: what is lost is said, then the stream goes on.
    let mut reader =
        Reader::listen(&lucid, &root, "?type=node.registered", Some("another-stream-7"));
    assert_eq!(reader.next(), (None, serde_json::json!({ "type": "stream.gap" })));
    let last = TestNode::register(&lucid, "alice", 5);
    assert_eq!(reader.next().1["data"]["node_id"], last.id.to_string());
}

#[test]
fn a_reader_sees_what_it_asked_for_of_what_it_may_see() {
    let lucid = Lucid::serve();
    let (bob, root) = (lucid.token("bob", "node_operator"), lucid.token("root", "admin"));
    let mut of_bob = Reader::listen(&lucid, &bob, "?type=node.registered,metrics", None);
    let mut alice = TestNode::register(&lucid, "alice", 1);
    let mut own = TestNode::register(&lucid, "bob", 2);
    let mut of_alice = Reader::listen(&lucid, &root, &format!("?node_id={}", alice.id), None);
    own.work(&lucid);
    alice.work(&lucid);
    for kind in ["node.registered", "metrics.stored"] {
        let event = of_bob.next().1;
        assert_eq!(
            (&event["type"], &event["data"]["node_id"]),
            (&kind.into(), &own.id.to_string().into()),
            "{event}"
        );
    }
    let event = of_alice.next().1;
    assert_eq!(event["data"]["node_id"], alice.id.to_string(), "{event}");
    let (status, refused) = lucid.call("GET", "/api/v1/events?node_id=x", Some(&root), None);
    assert_eq!(
        (status, refused["error"]["details"]["field"].as_str()),
        (400, Some("node_id")),
        "{refused}"
    );
}
