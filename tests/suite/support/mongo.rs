//! A MongoDB server of a test's own, and a database in it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use futures::TryStreamExt as _;
use mongodb::{
    Client, Database,
    bson::{Document, doc, serialize_to_document},
};
use serde_json::Value;

/// Ends with the test: the script ends its server when its standard input does.
pub struct MongoServer {
    uri: String,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    script: Child,
}

impl MongoServer {
    /// Starts one; says that a test is skipped if none can be had.
    pub fn start() -> Option<Self> {
        let mut script = Command::new(super::root().join("scripts/mongo-server.sh"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(script.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let input = script.stdin.take();
        if line.starts_with("mongodb") {
            return Some(Self { uri: line.trim().to_owned(), input, output, script });
        }
        println!("skipped: a test over MongoDB; {}", line.trim());
        script.wait().unwrap();
        None
    }

    /// Starts one that may be killed: not somebody else's.
    pub fn start_own() -> Option<Self> {
        if std::env::var_os("MONGODB_URI").is_some() {
            println!(
                "skipped: a test that kills its MongoDB server; MONGODB_URI names somebody else's"
            );
            return None;
        }
        Self::start()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.tell("kill", "killed");
    }

    /// The same over the same data; answers once it is listened to.
    pub fn start_again(&mut self) {
        self.tell("start", "started");
    }

    fn tell(&mut self, command: &str, answer: &str) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), answer);
    }

    /// The URL of a database that nobody has used.
    pub fn database(&self) -> String {
        let (place, options) = self
            .uri
            .split_once('?')
            .map_or((self.uri.as_str(), String::new()), |(place, options)| {
                (place, format!("?{options}"))
            });
        let (scheme, rest) = place.split_once("://").unwrap();
        format!(
            "{scheme}://{}/lucid-suite-{}{options}",
            rest.split('/').next().unwrap(),
            uuid::Uuid::now_v7().simple()
        )
    }
}

/// Collections by name.
pub type Dump = Vec<(String, Vec<Document>)>;

/// What somebody with access to a database may do by hand.
impl MongoServer {
    /// Changes one document: how many.
    pub fn change(&self, database: &str, collection: &str, filter: &Value, update: &Value) -> u64 {
        let (filter, update) =
            (serialize_to_document(filter).unwrap(), serialize_to_document(update).unwrap());
        super::block_on(async {
            open(database)
                .await
                .collection::<Document>(collection)
                .update_one(filter, update)
                .await
                .unwrap()
                .modified_count
        })
    }

    /// Drops an index.
    pub fn drop_index(&self, database: &str, collection: &str, name: &str) {
        super::block_on(async {
            open(database).await.collection::<Document>(collection).drop_index(name).await.unwrap()
        });
    }

    /// Everything that is in it.
    pub fn dump(&self, database: &str) -> Dump {
        super::block_on(async {
            let database = open(database).await;
            let mut dump = Vec::new();
            for name in database.list_collection_names().await.unwrap() {
                let documents = database
                    .collection::<Document>(&name)
                    .find(doc! {})
                    .await
                    .unwrap()
                    .try_collect()
                    .await
                    .unwrap();
                dump.push((name, documents));
            }
            dump
        })
    }

    /// What was dumped, in collections that are new, but for what a service that is still there
    /// writes meanwhile.
    pub fn restore(&self, database: &str, dump: &Dump) {
        super::block_on(async {
            let database = open(database).await;
            for (name, document) in dump.iter().flat_map(|(name, documents)| {
                documents.iter().map(move |document| (name, document))
            }) {
                let there = doc! { "_id": document.get("_id").cloned().unwrap() };
                database
                    .collection::<Document>(name)
                    .replace_one(there, document)
                    .upsert(true)
                    .await
                    .unwrap();
            }
        });
    }

    /// Nothing is left.
    pub fn drop_all(&self, database: &str) {
        super::block_on(async { open(database).await.drop().await.unwrap() });
    }

    /// Names of its collections.
    pub fn collections(&self, database: &str) -> Vec<String> {
        super::block_on(async { open(database).await.list_collection_names().await.unwrap() })
    }
}

async fn open(url: &str) -> Database {
    Client::with_uri_str(url).await.unwrap().default_database().unwrap()
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.script.wait();
    }
}
