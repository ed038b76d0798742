//! Alerts of the service itself: raised once for as long as their cause lasts, each about a topic
//! and, where there may be several at once, a subject: a payout, a run. One that ends clears only
//! its own.

use std::collections::BTreeMap;

use lucid_model::notifications::event::EventKind;

use crate::{EventBus, Notifications};

impl Notifications {
    /// Publishes an event.
    pub fn emit(&self, kind: EventKind) {
        self.bus.publish(self.parts.clock.now(), kind);
    }

    /// What happens, as it happens.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// Says that something needs a person, once for as long as it lasts.
    pub fn alert(&self, about: &'static str, message: String) {
        self.alert_of(about, String::new(), message);
    }

    /// The cause of an alert is gone.
    pub fn clear_alert(&self, about: &'static str) {
        self.clear_alert_of(about, "");
    }

    /// As [`Notifications::alert`], about one of several subjects.
    pub fn alert_of(&self, about: &'static str, subject: String, message: String) {
        let (is_new, raised) = {
            let mut alerts = self.alerts.lock();
            let is_new =
                alerts.insert((about, subject.clone()), message.clone()).as_ref() != Some(&message);
            (is_new, count(&alerts, about))
        };
        if is_new {
            tracing::warn!(about, subject, message, "alert");
            metrics::counter!("lucid_alerts_total", "about" => about).increment(1);
            metrics::gauge!("lucid_alert_raised", "about" => about).set(raised);
            self.emit(EventKind::Alert { about, subject, message });
        }
    }

    /// As [`Notifications::clear_alert`], about one of several subjects.
    pub fn clear_alert_of(&self, about: &'static str, subject: &str) {
        let (was_raised, raised) = {
            let mut alerts = self.alerts.lock();
            let was_raised = alerts.remove(&(about, subject.to_owned())).is_some();
            (was_raised, count(&alerts, about))
        };
        if was_raised {
            tracing::info!(about, subject, "alert cleared");
            metrics::gauge!("lucid_alert_raised", "about" => about).set(raised);
            self.emit(EventKind::AlertCleared { about, subject: subject.to_owned() });
        }
    }

    /// What alerts of a topic are raised about.
    pub fn alerts_about(&self, about: &str) -> Vec<String> {
        self.alerts
            .lock()
            .keys()
            .filter(|(of, _)| *of == about)
            .map(|(_, subject)| subject.clone())
            .collect()
    }

    /// Alerts that are raised now: about what, and what is said.
    pub fn raised_alerts(&self) -> Vec<(&'static str, String)> {
        self.alerts.lock().iter().map(|((about, _), message)| (*about, message.clone())).collect()
    }
}

/// How many alerts of a topic are raised.
fn count(alerts: &BTreeMap<(&'static str, String), String>, about: &str) -> f64 {
    let raised = alerts.keys().filter(|(of, _)| *of == about).count();
    u32::try_from(raised).map_or(f64::MAX, f64::from)
}
