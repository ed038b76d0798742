//! A payment service of a test's own: it keeps books, dedupes by key, and answers as the test
//! wants, down to the bytes on the wire.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// From an order to its transaction.
const PAYS_AFTER: Duration = Duration::from_millis(150);

/// What is done with a request before it is answered, and how it is answered.
#[derive(Debug, Clone)]
pub struct Reaction {
    /// Whether a POST is carried out.
    pub takes_effect: bool,
    pub answer: Wire,
}

/// What goes over the wire.
#[derive(Debug, Clone)]
pub enum Wire {
    /// The honest answer.
    Honest,
    /// The honest answer with fields changed.
    With(Value),
    /// A status with headers and a body.
    Status(u16, &'static [&'static str], String),
    /// The honest answer, cut in the middle of its body.
    Cut,
    /// The connection is reset.
    Reset,
    /// The connection is closed before a byte of an answer.
    Close,
    /// No answer for so long.
    Hang(Duration),
}

impl Reaction {
    pub fn honest() -> Self {
        Self { takes_effect: true, answer: Wire::Honest }
    }
}

/// A request for a payout, or about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Post,
    Get,
}

/// Money that moved.
#[derive(Debug, Clone)]
pub struct Paid {
    request: Value,
    at: Instant,
    pub txid: String,
    /// The service says that it failed, whatever it did.
    failed: bool,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Books {
    pub orders: BTreeMap<String, Paid>,
    /// Arrivals of POSTs with their bodies, by payout.
    pub posts: BTreeMap<String, Vec<(Instant, Vec<u8>)>>,
    pub gets: BTreeMap<String, Vec<Instant>>,
    /// Rules that were broken.
    pub broken: Vec<String>,
    /// Faults that were used, by name.
    pub used: BTreeMap<&'static str, u32>,
}

impl Books {
    pub fn posted(&self) -> usize {
        self.posts.values().map(Vec::len).sum()
    }
    pub fn looked(&self) -> usize {
        self.gets.values().map(Vec::len).sum()
    }
    /// As the sandbox lists them.
    pub fn transfers(&self) -> Vec<Value> {
        let paid = self
            .orders
            .iter()
            .filter(|(_, order)| !order.failed && order.at.elapsed() >= PAYS_AFTER);
        paid.map(|(id, order)| json!({ "payout_id": id, "amount": order.request["amount"], "txid": order.txid })).collect()
    }
    /// From now on it says that a payout failed; the money is where it is.
    pub fn say_failed(&mut self, id: &str, failed: bool) {
        self.orders.get_mut(id).unwrap().failed = failed;
    }
}

type React = Box<dyn FnMut(Asked, &str, &mut Books) -> Reaction + Send>;

pub struct PaymentService {
    pub url: String,
    books: Arc<Mutex<Books>>,
    react: Arc<Mutex<React>>,
    /// Nothing may be on its way: a POST that arrives breaks a rule.
    pub still: Arc<AtomicBool>,
}

impl PaymentService {
    pub fn start(react: impl FnMut(Asked, &str, &mut Books) -> Reaction + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let react: React = Box::new(react);
        let service = Self {
            url,
            books: Arc::default(),
            react: Arc::new(Mutex::new(react)),
            still: Arc::default(),
        };
        let (books, react, still) =
            (Arc::clone(&service.books), Arc::clone(&service.react), Arc::clone(&service.still));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (books, react, still) =
                    (Arc::clone(&books), Arc::clone(&react), Arc::clone(&still));
                // A client that was killed is no failure of the service.
                thread::spawn(move || drop(serve(connection, &books, &react, &still)));
            }
        });
        service
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// POSTs and look-ups so far.
    pub fn counts(&self) -> (usize, usize) {
        let books = self.books();
        (books.posted(), books.looked())
    }

    /// Look-ups of a payout so far.
    pub fn looks(&self, payout: &str) -> usize {
        self.books().gets.get(payout).map_or(0, Vec::len)
    }

    /// Payouts that were made.
    pub fn orders(&self) -> usize {
        self.books().orders.len()
    }

    /// Rules that were broken.
    pub fn broken(&self) -> Vec<String> {
        self.books().broken.clone()
    }

    /// Reacts otherwise from now on.
    pub fn react(&self, react: impl FnMut(Asked, &str, &mut Books) -> Reaction + Send + 'static) {
        *self.react.lock().unwrap() = Box::new(react);
    }

    pub fn be_honest(&self) {
        self.react(|_, _, _| Reaction::honest());
    }
}

fn serve(
    mut connection: TcpStream,
    books: &Mutex<Books>,
    react: &Mutex<React>,
    still: &AtomicBool,
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(connection.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = first.split_whitespace().nth(1).unwrap_or_default();
    let (asked, id) = if first.starts_with("POST") {
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        (Asked::Post, request["payout_id"].as_str().unwrap_or_default().to_owned())
    } else {
        (Asked::Get, target.rsplit('=').next().unwrap_or_default().to_owned())
    };
    let (answer, honest) = {
        let mut books = books.lock().unwrap();
        arrived(&mut books, asked, &id, &body, still);
        let reaction = (react.lock().unwrap())(asked, &id, &mut books);
        if asked == Asked::Post && reaction.takes_effect {
            order(&mut books, &id, &body);
        }
        (reaction.answer, honest(&books, &id))
    };
    write(&mut connection, answer, honest)
}

fn arrived(books: &mut Books, asked: Asked, id: &str, body: &[u8], still: &AtomicBool) {
    match asked {
        Asked::Get => books.gets.entry(id.to_owned()).or_default().push(Instant::now()),
        Asked::Post => {
            if still.load(Ordering::SeqCst) {
                books.broken.push(format!("I14: {id} was sent while payments were frozen"));
            }
            let posts = books.posts.entry(id.to_owned()).or_default();
            let other_bytes = posts.iter().any(|(_, earlier)| earlier != body);
            posts.push((Instant::now(), body.to_vec()));
            if other_bytes {
                books.broken.push(format!("I5: {id} was sent with other bytes"));
            }
        }
    }
}

fn order(books: &mut Books, id: &str, body: &[u8]) {
    let (number, request) = (books.orders.len(), serde_json::from_slice(body).unwrap());
    let paid =
        || Paid { request, at: Instant::now(), txid: format!("tx-{number}-{id}"), failed: false };
    books.orders.entry(id.to_owned()).or_insert_with(paid);
}

/// Status and body of the honest answer.
fn honest(books: &Books, id: &str) -> (u16, Value) {
    let Some(order) = books.orders.get(id) else {
        return (
            404,
            json!({ "error": { "code": "PAYOUT_NOT_FOUND", "message": "no such payout" } }),
        );
    };
    let paid = order.at.elapsed() >= PAYS_AFTER;
    let status = match (order.failed, paid) {
        (true, _) => "failed",
        (false, true) => "completed",
        (false, false) => "accepted",
    };
    let request = &order.request;
    let mut answer = json!({
        "payout_id": id, "reference": id, "external_id": format!("x-{id}"), "status": status, "recipient_address": request["recipient_address"],
        "amount": request["amount"], "currency": "USDT",
    });
    if status == "completed" {
        answer["transaction_id"] = json!(order.txid);
    }
    (200, answer)
}

fn write(
    connection: &mut TcpStream,
    answer: Wire,
    (status, mut body): (u16, Value),
) -> std::io::Result<()> {
    let respond =
        |connection: &mut TcpStream, status: u16, headers: &[&str], text: &str, sent: usize| {
            let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                text.len()
            );
            connection.write_all(head.as_bytes())?;
            connection.write_all(&text.as_bytes()[..sent.min(text.len())])
        };
    match answer {
        Wire::Honest => respond(connection, status, &[], &body.to_string(), usize::MAX),
        Wire::With(fields) => {
            for (name, value) in fields.as_object().unwrap() {
                body[name] = value.clone();
            }
            respond(connection, 200, &[], &body.to_string(), usize::MAX)
        }
        Wire::Status(status, headers, text) => {
            respond(connection, status, headers, &text, usize::MAX)
        }
        Wire::Cut => respond(connection, 200, &[], &body.to_string(), 20),
        Wire::Reset => {
            // Closing with unread input, or with linger zero, resets.
            rustix::net::sockopt::set_socket_linger(&*connection, Some(Duration::ZERO))?;
            Ok(())
        }
        Wire::Close => Ok(()),
        Wire::Hang(time) => {
            thread::sleep(time);
            Ok(())
        }
    }
}
