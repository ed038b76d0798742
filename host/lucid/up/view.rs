//! What `lucid up` shows: stages, then events as they happen; a line of JSON an event on demand.

use std::{io::Write, path::Path};

use lucid_api_types::notifications::event::EventBody;
use serde_json::Value;

use crate::{
    cli::out::{self, Output},
    printable::one_line,
};

/// Writes to standard output.
pub struct View {
    output: Output,
    colour: bool,
    /// Metrics come every two seconds: only the first ones are worth a line each.
    metrics_shown: u32,
}

/// Reports shown before they are only counted.
const METRICS_SHOWN_MAX: u32 = 3;

impl View {
    pub fn new(output: Output, colour: bool) -> Self {
        Self { output, colour, metrics_shown: 0 }
    }

    fn line(&self, text: &str) {
        if self.output == Output::Table {
            // A closed pipe ends the show, not the service.
            let _ = writeln!(out::styled(), "{text}");
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn title(&self) {
        self.line(&self.paint("1", "Lucid node management, on this machine, in the sandbox"));
        self.line("");
    }

    pub fn stage(&self, name: &str, text: &str) {
        self.line(&format!("  {} {:<10} {text}", self.paint("32", "✓"), name));
    }

    pub fn note(&self, text: &str) {
        self.line(&format!("  {} {text}", self.paint("33", "!")));
    }

    pub fn secret(&self, what: &str, secret: &str) {
        self.line("");
        self.line(&format!("  {what}:"));
        self.line(&format!("  {secret}"));
        self.line("");
    }

    pub fn ready(&self, policies: &Path) {
        self.line("");
        self.line(&format!(
            "  Swap a policy while it runs: edit {}, save. Stop with Ctrl-C.",
            policies.join("active.toml").display()
        ));
        self.line("");
    }

    /// Tells of an event.
    pub fn event(&mut self, event: &EventBody) {
        if self.output == Output::Json {
            if let Ok(text) = serde_json::to_string(event) {
                let _ = writeln!(out::out(), "{text}");
            }
            return;
        }
        let Some(text) = self.told(event) else { return };
        let code = if matches!(
            event.kind.as_str(),
            "policy.rejected" | "alert.raised" | "node.alert_raised" | "vote.rejected"
        ) {
            "33"
        } else {
            "36"
        };
        let clock = event.time.get(11..19).unwrap_or_default();
        self.line(&format!(
            "  {clock}  {} {text}",
            self.paint(code, &format!("{:<18}", event.kind))
        ));
    }

    /// What is said of an event, after its name; none if it is one of many.
    fn told(&mut self, event: &EventBody) -> Option<String> {
        let field = |name: &str| match event.data.get(name) {
            Some(Value::String(text)) => one_line(text).into_owned(),
            Some(other) => one_line(&other.to_string()).into_owned(),
            None => String::new(),
        };
        let text = match event.kind.as_str() {
            "node.registered" => format!("{} as node {}", field("name"), field("node_id")),
            "node.assigned" => format!("to pool {}", field("pool_name")),
            "metrics.stored" => {
                self.metrics_shown += 1;
                if self.metrics_shown > METRICS_SHOWN_MAX {
                    return None;
                }
                format!("CPU {} %, memory {} %", field("cpu_usage"), field("memory_usage"))
            }
            "observation.accepted"
            | "epoch.closing"
            | "payout.reserved"
            | "payout.submitting"
            | "payout.accepted"
            | "run.planned"
            | "run.approved"
            | "run.done" => {
                return None;
            }
            "score.computed" => {
                let eligible =
                    if field("eligible") == "true" { "eligible" } else { "not eligible yet" };
                format!(
                    "{} by {}, observed {} of {} s, {eligible}",
                    self.paint("1", &field("score")),
                    field("policy"),
                    field("observed_s"),
                    field("period_s")
                )
            }
            "vote.accepted" => format!("vote {}", field("vote_id")),
            "vote.rejected" => format!("epoch {}: {}", field("epoch"), field("reason")),
            "epoch.closed" => format!(
                "{}, {} of {} nodes eligible",
                field("epoch"),
                field("eligible"),
                field("nodes")
            ),
            "period.settled" => {
                format!("{} accruals, {} USDT", field("accruals"), field("sum_usdt"))
            }
            "payout.completed" => format!(
                "{} USDT, {}",
                self.paint("1", &field("amount_usdt")),
                field("transaction_id")
            ),
            "policy.activated" => format!(
                "{} for {} (revision {})",
                field("policy"),
                field("kind"),
                field("revision")
            ),
            "policy.rejected" => format!("{}: {}", field("bundle"), field("reason")),
            "alert.raised" | "node.alert_raised" => {
                format!("{}: {}", field("about"), field("message"))
            }
            "alert.cleared" | "node.alert_cleared" => field("about"),
            "node.wallet_changed" => format!("to {}", field("wallet_address")),
            "node.key_rotated" => field("node_id"),
            kind if kind.starts_with("node.") => format!("was {}", field("from")),
            _ => one_line(&serde_json::to_string(&event.data).unwrap_or_default()).into_owned(),
        };
        Some(text)
    }

    pub fn complete(&self) {
        self.line("");
        self.line(&format!(
            "  {} registered → assigned → metrics → score → vote → payout: the whole path ran",
            self.paint("32", "✓")
        ));
        self.line("");
    }

    pub fn end(&self, missing: &[&str]) {
        if missing.is_empty() {
            self.line("  stopped; everything is kept for the next start");
        } else {
            self.line(&format!("  {} not seen: {}", self.paint("33", "!"), missing.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use lucid_model::{
        fleet::alert::AlertKind,
        id::NodeId,
        notifications::event::{Event, EventKind},
        time::TimeMs,
    };
    use uuid::Uuid;

    use super::*;

    fn told(kind: EventKind) -> Option<String> {
        View::new(Output::Table, false)
            .told(&EventBody::new(&Event { seq: 1, at: TimeMs(0), kind }, "stream"))
    }

    #[test]
    fn what_others_wrote_stays_in_the_line_of_its_event() {
        let raised = |message: &str| EventKind::NodeAlertRaised {
            node: NodeId(Uuid::nil()),
            about: AlertKind::Cpu,
            message: message.into(),
            measured: None,
        };
        let line = told(raised("x\n  12:00:00  payout.completed 9 USDT\u{1b}[2K\u{202e}")).unwrap();
        assert!(line.ends_with(r"x\n  12:00:00  payout.completed 9 USDT\u001b[2K\u202e"), "{line}");
    }

    #[test]
    fn events_of_nodes_say_what_happened() {
        let (node, about) = (NodeId(Uuid::from_u128(7)), AlertKind::Cpu);
        let raised =
            EventKind::NodeAlertRaised { node, about, message: "too busy".into(), measured: None };
        assert_eq!(told(raised).unwrap(), format!("{}: too busy", about.name()));
        let cleared =
            EventKind::NodeAlertCleared { node, about, message: String::new(), measured: None };
        assert_eq!(told(cleared).unwrap(), about.name());
        assert_eq!(told(EventKind::KeyRotated { node }).unwrap(), node.to_string());
    }
}
