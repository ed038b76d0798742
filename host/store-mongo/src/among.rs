use lucid_model::id::NodeId;
use mongodb::bson::{Bson, Document, doc};

use crate::fields::id;

/// Up to so many are looked for one by one.
const ONE_BY_ONE_MAX: usize = 8;

/// Which nodes something is asked of.
#[derive(Clone, Copy)]
pub(crate) enum Among<'a> {
    /// These, wherever they are: a search of an index for each.
    These(&'a [NodeId]),
    /// These, which follow each other in the fleet: one stretch of an index. What is found may be
    /// of others between them.
    Neighbours(&'a [NodeId]),
}

impl<'a> Among<'a> {
    /// Nodes that are few, or follow each other.
    pub(crate) fn few_or_neighbours(nodes: &'a [NodeId]) -> Self {
        if nodes.len() > ONE_BY_ONE_MAX { Self::Neighbours(nodes) } else { Self::These(nodes) }
    }

    /// What a field that names a node has to be.
    pub(crate) fn condition(self) -> Document {
        match self {
            Self::These(nodes) => {
                doc! { "$in": nodes.iter().map(|node| id(node.0)).collect::<Vec<_>>() }
            }
            Self::Neighbours(nodes) => {
                let bound = |node: Option<&NodeId>| node.map_or(Bson::Null, |node| id(node.0));
                doc! { "$gte": bound(nodes.iter().min()), "$lte": bound(nodes.iter().max()) }
            }
        }
    }
}
