use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{DeliveryId, NodeId, PoolId, WebhookId},
    notifications::webhook::{Delivery, DeliveryState, KeptSecret, Webhook},
    time::TimeMs,
};
use lucid_ports::{DeliveryFilter, Page, PageRequest, StoreError, WebhookStore};
use rusqlite::{Connection, params, types::Value};

use crate::{
    SqliteStore, audit,
    columns::{Columns, blob, json, stored},
    fault::Fault,
    query::{Conditions, List, Source, execute, rows},
};

pub(crate) const COLUMNS: &str = "id, url, description, events, node, pool, sealed_secret, enabled, disabled_reason, created_at, updated_at, created_by, version";
pub(crate) const DELIVERY: &str = "id, webhook, event_id, kind, body, created_at, state, attempts, next_attempt_at, finished_at, status, error";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Webhook, Fault> {
    Ok(Webhook {
        id: columns.id(WebhookId)?,
        url: columns.take()?,
        description: columns.take()?,
        events: columns.json()?,
        node: columns.id_or_none(NodeId)?,
        pool: columns.id_or_none(PoolId)?,
        secret: KeptSecret(columns.take()?),
        enabled: columns.take()?,
        disabled_reason: columns.take()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        created_by: columns.take()?,
        version: columns.unsigned()?,
    })
}

pub(crate) fn read_delivery(columns: &mut Columns<'_>) -> Result<Delivery, Fault> {
    Ok(Delivery {
        id: columns.id(DeliveryId)?,
        webhook: columns.id(WebhookId)?,
        event_id: columns.take()?,
        kind: columns.take()?,
        body: columns.take()?,
        created_at: columns.time()?,
        state: columns.word(DeliveryState::from_name)?,
        attempts: columns.take()?,
        next_attempt_at: columns.time()?,
        finished_at: columns.time_or_none()?,
        status: columns.take()?,
        error: columns.take()?,
    })
}

/// Adds a webhook; `false` if it is there.
pub(crate) fn insert(connection: &Connection, webhook: &Webhook) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO webhooks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        webhook.id.0.as_bytes(),
        webhook.url,
        webhook.description,
        json(&webhook.events)?,
        webhook.node.map(|node| node.0.into_bytes()),
        webhook.pool.map(|pool| pool.0.into_bytes()),
        webhook.secret.0,
        webhook.enabled,
        webhook.disabled_reason,
        webhook.created_at.0,
        webhook.updated_at.0,
        webhook.created_by,
        stored(webhook.version)?,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn update(connection: &Connection, webhook: &Webhook, entry: &AuditEntry) -> Result<bool, Fault> {
    let sql = "UPDATE webhooks SET url = ?, description = ?, events = ?, node = ?, pool = ?, sealed_secret = ?, enabled = ?, disabled_reason = ?, \
               updated_at = ?, version = ? WHERE id = ? AND version = ?";
    let values = params![
        webhook.url,
        webhook.description,
        json(&webhook.events)?,
        webhook.node.map(|node| node.0.into_bytes()),
        webhook.pool.map(|pool| pool.0.into_bytes()),
        webhook.secret.0,
        webhook.enabled,
        webhook.disabled_reason,
        webhook.updated_at.0,
        stored(webhook.version)?,
        webhook.id.0.as_bytes(),
        stored(webhook.version.saturating_sub(1))?,
    ];
    let changed = execute(connection, sql, values)? == 1;
    if changed {
        audit::add(connection, entry)?;
    }
    Ok(changed)
}

/// Adds a delivery; `false` if it is there.
pub(crate) fn insert_delivery(connection: &Connection, delivery: &Delivery) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO deliveries ({DELIVERY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        delivery.id.0.as_bytes(),
        delivery.webhook.0.as_bytes(),
        delivery.event_id,
        delivery.kind,
        delivery.body,
        delivery.created_at.0,
        delivery.state.name(),
        delivery.attempts,
        delivery.next_attempt_at.0,
        delivery.finished_at.map(|at| at.0),
        delivery.status,
        delivery.error,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn update_delivery(connection: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "UPDATE deliveries SET state = ?, attempts = ?, next_attempt_at = ?, finished_at = ?, status = ?, error = ? WHERE id = ?";
    let values = params![
        delivery.state.name(),
        delivery.attempts,
        delivery.next_attempt_at.0,
        delivery.finished_at.map(|at| at.0),
        delivery.status,
        delivery.error,
        delivery.id.0.as_bytes(),
    ];
    execute(connection, sql, values)?;
    Ok(())
}

fn due(
    connection: &Connection,
    webhook: WebhookId,
    now: TimeMs,
    limit: u32,
) -> Result<Vec<Delivery>, Fault> {
    let sql = format!(
        "SELECT {DELIVERY} FROM deliveries INDEXED BY deliveries_due WHERE webhook = ? AND state = 'pending' AND next_attempt_at <= ? \
         ORDER BY next_attempt_at, id LIMIT ?"
    );
    rows(connection, &sql, params![webhook.0.as_bytes(), now.0, limit], read_delivery)
}

pub(crate) fn list(filter: DeliveryFilter, page: PageRequest<()>) -> List {
    let conditions = Conditions::default()
        .and("webhook = ?", Some(blob(filter.webhook.0)))
        .and("state = ?", filter.state.map(|state| Value::Text(state.name().to_owned())));
    List::new(
        &Source { columns: DELIVERY, table: "deliveries", joins: "" },
        conditions,
        &["created_at", "id"],
        &page,
    )
}

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn add_webhook(&self, webhook: Webhook, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let added = insert(connection, &webhook)?;
                if added {
                    audit::add(connection, &audit)?;
                }
                Ok(added)
            })
            .await
    }
    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM webhooks ORDER BY created_at, id");
        self.core.lookup(|connection| rows(connection, &sql, [], read)).await
    }
    async fn update_webhook(
        &self,
        webhook: Webhook,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core.write(move |connection| update(connection, &webhook, &audit)).await
    }
    async fn remove_webhook(
        &self,
        id: WebhookId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "DELETE FROM webhooks WHERE id = ?1 AND version = coalesce(?2, version)";
                let removed = execute(
                    connection,
                    sql,
                    params![id.0.as_bytes(), version.map(stored).transpose()?],
                )? == 1;
                if removed {
                    audit::add(connection, &audit)?;
                }
                Ok(removed)
            })
            .await
    }
    async fn add_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        let add = move |connection: &Connection| {
            deliveries
                .iter()
                .try_for_each(|delivery| insert_delivery(connection, delivery).map(drop))
        };
        self.core.write(add).await
    }
    async fn due_deliveries(
        &self,
        webhook: WebhookId,
        now: TimeMs,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.core.read(move |connection| due(connection, webhook, now, limit)).await
    }
    async fn update_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        self.core
            .write(move |connection| {
                deliveries.iter().try_for_each(|delivery| update_delivery(connection, delivery))
            })
            .await
    }
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Delivery>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read_delivery)).await
    }
    async fn forget_deliveries(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries WHERE created_at < ? LIMIT ?)";
                Ok(execute(connection, sql, params![before.0, limit])? as u64)
            })
            .await
    }
}
