/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Which part of a list is wanted; ties are broken by id, in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<S> {
    /// From 1.
    pub page: u64,
    /// 1–100.
    pub limit: u32,
    /// By what.
    pub sort: S,
    /// Which way.
    pub order: Order,
}

impl<S> PageRequest<S> {
    /// Rows before the page.
    pub fn offset(&self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(u64::from(self.limit))
    }
}

/// Part of a list, and how long the whole is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Length of the whole list.
    pub total: u64,
}
