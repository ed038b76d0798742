//! Pages of lists: what to ask for and what a list says of itself.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    audit::AuditEntryBody,
    epochs::poot::{
        ScoreBody,
        epoch::{EpochBody, VoteBody},
        participation::ParticipationBody,
    },
    fields::FieldError,
    fleet::{enrolment::EnrolmentBody, node::NodeBody, pool::PoolBody},
    money::{mismatch::MismatchBody, payments::ProposalBody, payout::PayoutBody, run::RunBody},
    notifications::webhook::{DeliveryBody, WebhookBody},
    policies::ShadowBody,
    schema,
};

/// Most rows of a page.
pub const PAGE_LIMIT_MAX: u32 = 100;
/// Rows of a page when nothing is said.
pub const PAGE_LIMIT_DEFAULT: u32 = 20;

/// The query parameters of every list, as documented.
#[derive(Debug, Clone, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// From 1.
    #[param(minimum = 1, maximum = 4_294_967_295_u32, default = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What to sort by: each list documents its own words.
    #[param(ignore)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// `asc` or `desc` (default).
    #[param(value_type = Option<schema::SortOrder>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// A checked page request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery<S> {
    /// From 1.
    pub page: u64,
    /// 1–100.
    pub limit: u32,
    /// By what.
    pub sort: S,
    /// Whether the largest come first.
    pub descending: bool,
}

impl<S: Copy> PageQuery<S> {
    /// Reads `page`, `limit`, `sort` and `order`; `sorts` are the list's sort words, the default
    /// one first.
    ///
    /// # Errors
    /// [`FieldError`] naming the parameter.
    pub fn read<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        first: (&'static str, S),
        others: &[(&'static str, S)],
    ) -> Result<Self, FieldError> {
        let page =
            get("page").map_or(Some(1), |text| text.parse::<u32>().ok().filter(|page| *page >= 1));
        let page = page.ok_or_else(|| {
            FieldError::new("page", format!("must be a whole number from 1 to {}", u32::MAX))
        })?;
        let limit = get("limit").map_or(Some(PAGE_LIMIT_DEFAULT), |text| {
            text.parse().ok().filter(|limit| (1..=PAGE_LIMIT_MAX).contains(limit))
        });
        let limit = limit.ok_or_else(|| {
            FieldError::new("limit", format!("must be a whole number from 1 to {PAGE_LIMIT_MAX}"))
        })?;
        let sorts = || std::iter::once(&first).chain(others);
        let sort = get("sort").map_or(Some(first.1), |word| {
            sorts().find(|(name, _)| *name == word).map(|(_, sort)| *sort)
        });
        let sort = sort.ok_or_else(|| {
            let words: Vec<_> = sorts().map(|(name, _)| *name).collect();
            FieldError::new("sort", format!("must be one of {}", words.join(", ")))
        })?;
        let descending = match get("order") {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(FieldError::new("order", "must be one of asc, desc")),
        };
        Ok(Self { page: u64::from(page), limit, sort, descending })
    }
}

/// Where a page is in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    /// From 1.
    pub page: u64,
    /// Rows of a page.
    pub limit: u32,
    /// Rows of the list.
    pub total: u64,
    /// Pages of the list.
    pub pages: u64,
}

impl Pagination {
    /// Of a list of `total` rows.
    pub fn new(page: u64, limit: u32, total: u64) -> Self {
        Self { page, limit, total, pages: total.div_ceil(u64::from(limit.max(1))) }
    }
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $item:ty })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct $name {
            /// The page's rows.
            pub $field: Vec<$item>,
            /// Where the page is in the list.
            pub pagination: Pagination,
        }
    )*};
}

lists! {
    /// A page of nodes.
    NodeList { nodes: NodeBody }
    /// A page of pools.
    PoolList { pools: PoolBody }
    /// A page of scores.
    ScoreList { scores: ScoreBody }
    /// A page of payouts.
    PayoutList { payouts: PayoutBody }
    /// A page of epochs.
    EpochList { epochs: EpochBody }
    /// A page of enrolment tokens.
    EnrolmentList { enrolment_tokens: EnrolmentBody }
    /// A page of what treasurers said became of payouts.
    ProposalList { proposals: ProposalBody }
    /// A page of payouts that the payment service contradicts.
    MismatchList { mismatches: MismatchBody }
    /// A page of payout runs.
    RunList { runs: RunBody }
    /// A page of shadows.
    ShadowList { shadows: ShadowBody }
    /// A page of webhooks.
    WebhookList { webhooks: WebhookBody }
    /// A page of deliveries to a webhook.
    DeliveryList { deliveries: DeliveryBody }
    /// A page of votes.
    VoteList { votes: VoteBody }
    /// A page of epochs with who voted in them.
    ParticipationList { participation: ParticipationBody }
    /// A page of the audit log.
    AuditList { entries: AuditEntryBody }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &'static str)]) -> Result<PageQuery<u8>, FieldError> {
        PageQuery::read(
            |key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v),
            ("created_at", 0),
            &[("name", 1)],
        )
    }

    #[test]
    fn every_wrong_page_parameter_is_named() {
        assert_eq!(read(&[]), Ok(PageQuery { page: 1, limit: 20, sort: 0, descending: true }));
        assert_eq!(
            read(&[("page", "3"), ("limit", "100"), ("sort", "name"), ("order", "asc")]),
            Ok(PageQuery { page: 3, limit: 100, sort: 1, descending: false })
        );
        for (key, value) in [
            ("page", "0"),
            ("page", "-1"),
            ("limit", "0"),
            ("limit", "101"),
            ("sort", "price"),
            ("order", "up"),
            ("page", "x"),
        ] {
            assert_eq!(read(&[(key, value)]).unwrap_err().field, key);
        }
        assert_eq!((Pagination::new(1, 20, 41).pages, Pagination::new(1, 20, 0).pages), (3, 0));
    }
}
