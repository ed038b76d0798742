//! Resolutions: what became of payouts that only people can tell, several at once.

use lucid_model::{
    id::PayoutId,
    money::payout::{Outcome, Resolution},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    FieldError, csv,
    fields::{Fields, Request},
    schema,
};

/// Most resolutions of one batch.
pub const RESOLUTIONS_MAX: usize = 1_000;
/// The columns of a file of resolutions.
pub const COLUMNS: [&str; 4] = ["payout_id", "outcome", "txid", "evidence"];
/// The field of a request that a file calls `txid`.
const TRANSACTION: &str = "transaction_id";
const PAID: &str = "paid";
const NOT_PAID: &str = "not_paid";

/// The word for an outcome.
pub fn outcome_name(outcome: &Outcome) -> &'static str {
    if outcome.txid().is_some() { PAID } else { NOT_PAID }
}

/// What became of one payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolutionBody {
    /// The payout.
    #[schema(value_type = schema::Id)]
    pub payout_id: String,
    /// Whether it was paid; `not_paid`: it was not, and never will be.
    #[schema(value_type = schema::PayoutOutcome)]
    pub outcome: String,
    /// The transaction that paid it; required with `paid`, and only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TransactionId>)]
    pub transaction_id: Option<String>,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[schema(value_type = schema::Reason)]
    pub evidence: String,
}

impl From<&Resolution> for ResolutionBody {
    fn from(resolution: &Resolution) -> Self {
        Self {
            payout_id: resolution.payout.to_string(),
            outcome: outcome_name(&resolution.outcome).into(),
            transaction_id: resolution.outcome.txid().map(str::to_owned),
            evidence: resolution.evidence.clone(),
        }
    }
}

impl Request for ResolutionBody {
    type Valid = Resolution;
    fn read(fields: &Fields<'_>) -> Result<Resolution, FieldError> {
        let id = fields.require("payout_id", fields.string("payout_id")?)?;
        let payout: PayoutId =
            id.parse().map_err(|_| fields.error("payout_id", "must be a UUID"))?;
        let outcome =
            fields.require("outcome", fields.word("outcome", &[PAID, NOT_PAID], |word| word)?)?;
        let txid = fields.text(TRANSACTION, 1..=128)?;
        let outcome = match (outcome == PAID, txid) {
            (true, None) => {
                return Err(fields.error(
                    TRANSACTION,
                    "is required with outcome paid: name the transaction that paid it",
                ));
            }
            (false, Some(_)) => {
                return Err(fields.error(TRANSACTION, "must be absent with outcome not_paid"));
            }
            (_, txid) => Outcome::by(txid),
        };
        let evidence = fields.require("evidence", fields.text("evidence", 1..=500)?)?;
        Ok(Resolution { payout, outcome, evidence })
    }
}

/// What became of several payouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ResolutionsRequest {
    /// One a payout; at most 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    pub resolutions: Vec<ResolutionBody>,
}

impl Request for ResolutionsRequest {
    type Valid = Vec<Result<Resolution, FieldError>>;
    fn read(fields: &Fields<'_>) -> Result<Self::Valid, FieldError> {
        fields.items::<ResolutionBody>("resolutions", 1..=RESOLUTIONS_MAX)
    }
}

/// Reads a file of resolutions: the line of each, and what it says.
///
/// # Errors
/// Everything that is wrong with it, by line; nothing of such a file is to be sent.
pub fn read_csv(text: &str) -> Result<Vec<(usize, ResolutionBody)>, Vec<String>> {
    let rows = csv::rows(text).map_err(|wrong| vec![wrong])?;
    let Some(((_, head), rows)) = rows.split_first() else {
        return Err(vec!["the file is empty".into()]);
    };
    let places = places(head).map_err(|wrong| vec![format!("line 1: {wrong}")])?;
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for (line, cells) in rows {
        match resolution(cells, head.len(), places) {
            Ok(body) => read.push((*line, body)),
            Err(problem) => wrong.push(format!("line {line}: {problem}")),
        }
    }
    if read.is_empty() && wrong.is_empty() {
        wrong.push("the file has no line but the columns' names".into());
    }
    if read.len() > RESOLUTIONS_MAX {
        wrong.push(format!(
            "the file has {} resolutions, more than {RESOLUTIONS_MAX}: make several files of it",
            read.len()
        ));
    }
    if wrong.is_empty() { Ok(read) } else { Err(wrong) }
}

/// Where the columns are.
fn places(head: &[String]) -> Result<[usize; 4], String> {
    let names = || format!("the columns must be named {}", COLUMNS.join(","));
    if let Some(other) = head.iter().find(|name| !COLUMNS.contains(&name.trim())) {
        return Err(format!("unknown column {other:?}: {}", names()));
    }
    let mut places = [0; 4];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let mut found = head.iter().enumerate().filter(|(_, name)| name.trim() == column);
        *place = found.next().ok_or_else(|| format!("column {column} is missing: {}", names()))?.0;
        if found.next().is_some() {
            return Err(format!("column {column} is there twice: {}", names()));
        }
    }
    Ok(places)
}

fn resolution(
    cells: &[String],
    columns: usize,
    places: [usize; 4],
) -> Result<ResolutionBody, String> {
    if cells.len() != columns {
        return Err(format!("has {} fields, not {columns}", cells.len()));
    }
    let cell =
        |place: usize| cells.get(place).map(|text| text.trim().to_owned()).unwrap_or_default();
    let [payout_id, outcome, txid, evidence] = places.map(cell);
    let body = ResolutionBody {
        payout_id,
        outcome,
        transaction_id: Some(txid).filter(|txid| !txid.is_empty()),
        evidence,
    };
    let serde_json::Value::Object(fields) = serde_json::to_value(&body).unwrap_or_default() else {
        return Err("is not readable".into());
    };
    ResolutionBody::read(&Fields::new("", &fields))
        .map(|_| body)
        .map_err(|wrong| in_file(&wrong.field, &wrong.problem))
}

/// A problem of a field, by its column's name.
pub fn in_file(field: &str, problem: &str) -> String {
    format!("{}: {problem}", if field == TRANSACTION { "txid" } else { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0192f0c1-2b3c-7d4e-8f90-000000000001";
    const TWO: &str = "0192f0c1-2b3c-7d4e-8f90-000000000002";

    #[test]
    fn a_file_is_read_as_spreadsheets_write_it() {
        let text = format!(
            "\u{feff}payout_id,outcome,txid,evidence\r\n{ONE},paid,ab12,\"TronScan, \"\"4711\"\"\"\r\n\r\n{TWO},not_paid,,letter\r\n"
        );
        let read = read_csv(&text).unwrap();
        let body = |id: &str, outcome: &str, txid: Option<&str>, evidence: &str| ResolutionBody {
            payout_id: id.into(),
            outcome: outcome.into(),
            transaction_id: txid.map(Into::into),
            evidence: evidence.into(),
        };
        assert_eq!(
            read,
            [
                (2, body(ONE, "paid", Some("ab12"), "TronScan, \"4711\"")),
                (4, body(TWO, "not_paid", None, "letter"))
            ]
        );
        let other_order = format!("evidence,txid,payout_id,outcome\nletter,,{TWO},not_paid\n");
        assert_eq!(read_csv(&other_order).unwrap(), [(2, body(TWO, "not_paid", None, "letter"))]);
    }

    #[test]
    fn every_bad_line_is_named_with_its_field() {
        let text = format!(
            "payout_id,outcome,txid,evidence\n5,paid,a,e\n{ONE},lost,a,e\n{ONE},paid,,e\n{ONE},not_paid,a,e\n{ONE},paid,a,\n{ONE},paid,a\n{ONE},paid,a,e\n"
        );
        let expected = [
            "line 2: payout_id: must be a UUID",
            "line 3: outcome: must be one of paid, not_paid",
            "line 4: txid: is required with outcome paid: name the transaction that paid it",
            "line 5: txid: must be absent with outcome not_paid",
            "line 6: evidence: must have 1 to 500 characters, has 0",
            "line 7: has 3 fields, not 4",
        ];
        assert_eq!(read_csv(&text).unwrap_err(), expected);
    }

    #[test]
    fn a_file_that_is_no_file_of_resolutions_says_what_it_should_be() {
        for (text, expected) in [
            ("", "the file is empty"),
            ("payout_id,outcome,txid,evidence\n", "the file has no line but the columns' names"),
            (
                "payout_id,outcome,txid\n",
                "line 1: column evidence is missing: the columns must be named payout_id,outcome,txid,evidence",
            ),
            (
                "payout_id,outcome,txid,evidence,evidence\n",
                "line 1: column evidence is there twice: the columns must be named payout_id,outcome,txid,evidence",
            ),
            (
                "payout,outcome,txid,evidence\n",
                "line 1: unknown column \"payout\": the columns must be named payout_id,outcome,txid,evidence",
            ),
            ("payout_id,outcome,txid,evidence\n\"a,b\n", "line 2: a quote is not closed"),
        ] {
            assert_eq!(read_csv(text).unwrap_err(), [expected], "{text:?}");
        }
        let many = format!(
            "payout_id,outcome,txid,evidence\n{}",
            format!("{ONE},not_paid,,e\n").repeat(RESOLUTIONS_MAX + 1)
        );
        assert_eq!(
            read_csv(&many).unwrap_err(),
            ["the file has 1001 resolutions, more than 1000: make several files of it"]
        );
    }
}
