use lucid_store::Stores;
use lucid_store_mongo::Mongo;
use lucid_store_sqlite::Sqlite;

/// The backends of the binary; a URL's scheme picks one.
pub static STORES: Stores = Stores::new(&[&Sqlite, &Mongo]);
