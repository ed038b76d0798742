//! Who pays: the greatest fence seen, kept so that no payer before it changes a payout any more.
//!
//! A payer begins in two steps. First its fence is in the one document `payer` (`raised`); then in
//! every payout that is not closed; then the document says so (`begun`). A change of a payout looks
//! at the document first, and its filter takes only a payout without a greater fence. Whatever an
//! older payer read before it was stopped:
//!
//! - a payout that was there when the later payer began has its fence, and the filter refuses the change;
//! - a payout that was made after `raised` was also read after it, and so was the document: the look refuses.
//!
//! Fences only grow and each step may be repeated, by anybody. A crash between them leaves `begun`
//! behind: the next change, or the payer that begins again, marks what is left.

use lucid_ports::Fence;
use mongodb::{
    Collection,
    bson::{Document, doc},
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, stored},
    money::payouts::PAYOUTS,
    schema::META,
};

/// The `_id` of the document.
const PAYER: &str = "payer";

struct Known {
    raised: Fence,
    begun: Fence,
}

async fn known(meta: &Collection<Document>) -> Result<Known, Fault> {
    let found = meta.find_one(doc! { "_id": PAYER }).await?;
    let number = |name: &str| match &found {
        Some(document) => {
            Ok(Fields::of(document).number_or_none(name)?.map_or_else(Fence::default, Fence))
        }
        None => Ok::<_, Fault>(Fence::default()),
    };
    Ok(Known { raised: number("raised")?, begun: number("begun")? })
}

async fn keep_greatest(meta: &Collection<Document>, name: &str, fence: Fence) -> Result<(), Fault> {
    let raise = doc! { "$max": { name: stored(fence.0)? }, "$setOnInsert": { "v": 1 } };
    match meta
        .update_one(doc! { "_id": PAYER }, raise.clone())
        .upsert(true)
        .await
        .map_err(Fault::from)
    {
        // Two made it at once: now it is there.
        Err(fault) if fault.is_duplicate() => meta.update_one(doc! { "_id": PAYER }, raise).await?,
        written => written?,
    };
    Ok(())
}

impl MongoStore {
    /// Makes a payer the one that pays, unless there is a later one. Answers the greatest fence.
    pub(crate) async fn raise_fence(&self, fence: Fence) -> Result<Fence, Fault> {
        let meta = self.collection(META);
        keep_greatest(&meta, "raised", fence).await?;
        let greatest = known(&meta).await?.raised;
        if greatest == fence {
            let older = doc! { "closed": false, "fence": { "$not": { "$gte": stored(fence.0)? } } };
            self.collection(PAYOUTS)
                .update_many(older, doc! { "$max": { "fence": stored(fence.0)? } })
                .await?;
            keep_greatest(&meta, "begun", fence).await?;
        }
        Ok(greatest)
    }

    /// The greatest fence, that of a payer who has begun: this one begins now if it comes for the
    /// first time.
    pub(crate) async fn fence_in_force(&self, fence: Fence) -> Result<Fence, Fault> {
        let known = known(&self.collection(META)).await?;
        if known.raised > fence || (known.raised, known.begun) == (fence, fence) {
            Ok(known.raised)
        } else {
            self.raise_fence(fence).await
        }
    }
}
