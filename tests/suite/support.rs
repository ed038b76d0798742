//! Starts the real binary, talks to it over real HTTP, and takes it down again.

pub mod bundle;
pub mod clock;
pub mod gateway;
pub mod money;
pub mod mongo;
pub mod nginx;
pub mod node;
pub mod payment_service;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod runtime;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const SECRET: &str = "integration tests only, 32 bytes or more";
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    /// Whether the child is another program that runs it: the end of that one is not its end.
    is_under: bool,
    log: Arc<Mutex<String>>,
    /// Those that read what it says.
    readers: Vec<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts `lucid` with arguments and nothing of this test's environment but a path.
    pub fn start(args: &[&str], environment: &[(&str, &str)], stdout_is_log: bool) -> Self {
        Self::start_under(&[], args, environment, stdout_is_log)
    }

    /// The same under another program, which runs it.
    pub fn start_under(
        under: &[&str],
        args: &[&str],
        environment: &[(&str, &str)],
        stdout_is_log: bool,
    ) -> Self {
        let line = [under, &[env!("CARGO_BIN_EXE_lucid")], args].concat();
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(environment.iter().copied()).current_dir(root());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut readers = vec![collect(child.stderr.take().unwrap(), &log)];
        if stdout_is_log {
            readers.push(collect(child.stdout.take().unwrap(), &log));
        }
        Self { child, is_under: !under.is_empty(), log, readers }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has a line that `find` makes something of.
    pub fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = self.log().lines().find_map(&find) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last may be read after its end.
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                if let Some(found) = self.log().lines().find_map(&find) {
                    return found;
                }
                panic!("ended with {status}: {}", self.log());
            }
            assert!(started.elapsed() < PATIENCE, "nothing in: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// SIGSTOP: it does nothing until it goes on.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if self.is_under {
            let _ = Command::new("pkill").args(["-KILL", "-P", &self.id().to_string()]).status();
        } else {
            self.child.kill().unwrap();
        }
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().unwrap().code()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its own end.
    pub fn output_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for its own end: exit code and standard output.
    pub fn output(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill();
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, log: &Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Waits until something is there.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// The same for something that takes longer by design.
pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < patience, "waited {patience:?} for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A service of a test's own.
pub struct Lucid {
    pub process: Process,
    pub base: String,
    settings: Vec<(String, String)>,
    /// Removed with the service; shared by restarts.
    _dir: Arc<TempDir>,
}

/// What shortens a day to seconds, by configuration alone.
pub const SHORT: [(&str, &str); 13] = [
    ("LUCID_SCORING_EPOCH_S", "5"),
    ("LUCID_SCORING_CLOSE_DELAY_S", "2"),
    ("POOT_MIN_OBSERVATION_TIME", "2"),
    ("LUCID_PAYOUTS_SETTLEMENT_S", "10"),
    ("LUCID_PAYOUTS_MATURITY_S", "0"),
    ("LUCID_PAYOUTS_POLL_MS", "200"),
    ("REWARD_BUDGET_USDT", "25"),
    ("PAYOUT_AUTO_APPROVE_MAX_USDT", "1000"),
    ("PAYOUT_CYCLE_CAP_USDT", "1000"),
    ("LUCID_PAYOUTS_AUTO_APPROVE_JUMP_MAX", "0"),
    ("FOUR_EYES", "false"),
    ("RAIL", "sandbox"),
    ("LUCID_RAIL_SANDBOX_CONFIRM_MS", "300"),
];

impl Lucid {
    /// `lucid serve` with the sandbox inside and ordinary periods.
    pub fn serve() -> Self {
        Self::serve_with(&[("RAIL", "sandbox")])
    }

    pub fn serve_with(settings: &[(&str, &str)]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::start(dir, settings)
    }

    /// A service on a store that is there already, in the folder `data` of this one.
    pub fn serve_on(dir: &Arc<TempDir>, settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::start(Arc::clone(dir), settings)
    }

    fn start(dir: Arc<TempDir>, settings: Vec<(String, String)>) -> Self {
        Self::start_under(&[], dir, settings)
    }

    /// `lucid serve` under another program, as soon as it serves.
    pub fn start_under(under: &[&str], dir: Arc<TempDir>, settings: Vec<(String, String)>) -> Self {
        let mut process = Self::begin_under(under, &dir, &settings);
        let base = process.wait_for(|line| {
            let log: Value = serde_json::from_str(line).ok()?;
            (log["fields"]["message"] == "lucid serves")
                .then(|| log["fields"]["url"].as_str().unwrap().to_owned())
        });
        Self { process, base, settings, _dir: dir }
    }

    /// The same without waiting for that.
    pub fn begin_under(under: &[&str], dir: &TempDir, settings: &[(String, String)]) -> Process {
        let data = dir.path().join("data");
        // Nothing to take in but what is built in, unless policies are what a test is about.
        let policies = dir.path().join("policies");
        std::fs::create_dir_all(&policies).unwrap();
        let mut environment = vec![
            ("LUCID_POLICIES_DIR", policies.to_str().unwrap()),
            ("JWT_SECRET", SECRET),
            ("NODE_MANAGEMENT_PORT", "0"),
            ("LUCID_SERVER_BIND", "127.0.0.1"),
            // Tests hand in what nobody signed, unless signatures are what they are about.
            ("REQUIRE_SIGNED", "false"),
        ];
        environment.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Process::start_under(
            under,
            &["serve", "--data", data.to_str().unwrap()],
            &environment,
            true,
        )
    }

    /// The same with standard error going somewhere else, and as another user where one is named;
    /// it serves on a port of this test's choice, and nothing is waited for.
    pub fn begin_to(
        stderr: Stdio,
        user: Option<u32>,
        dir: &Arc<TempDir>,
        settings: &[(&str, &str)],
    ) -> Self {
        let port = free_port().to_string();
        let (data, policies) = (dir.path().join("data"), dir.path().join("policies"));
        std::fs::create_dir_all(&policies).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
        command.args(["serve", "--data", data.to_str().unwrap(), "--port", &port]).env_clear();
        command
            .env("LUCID_POLICIES_DIR", &policies)
            .env("JWT_SECRET", SECRET)
            .env("LUCID_SERVER_BIND", "127.0.0.1")
            .env("REQUIRE_SIGNED", "false");
        command.envs(settings.iter().copied()).current_dir(dir.path());
        if let Some(user) = user {
            use std::os::unix::process::CommandExt as _;
            command.uid(user).gid(user);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let process = Process {
            child: command.spawn().unwrap(),
            is_under: false,
            log: Arc::default(),
            readers: Vec::new(),
        };
        Self {
            process,
            base: format!("http://127.0.0.1:{port}"),
            settings: Vec::new(),
            _dir: Arc::clone(dir),
        }
    }

    /// Status and words of `/readyz`; none while nobody answers.
    pub fn readiness(&self) -> Option<(u16, String)> {
        block_on(async {
            let response = client().get(format!("{}/readyz", self.base)).send().await.ok()?;
            Some((response.status().as_u16(), response.text().await.ok()?))
        })
    }

    /// kill -9, then the same again on the same store.
    pub fn crash_and_restart(&mut self) {
        self.process.kill();
        let again = Self::start(Arc::clone(&self._dir), self.settings.clone());
        self.process = again.process;
        self.base = again.base;
    }

    /// Stops it, does something to what it left, and starts it again.
    pub fn stop_for_a_while(&mut self, meanwhile: impl FnOnce()) {
        self.process.stop();
        meanwhile();
        let again = Self::start(Arc::clone(&self._dir), self.settings.clone());
        self.process = again.process;
        self.base = again.base;
    }

    /// What its folders are in.
    pub fn dir(&self) -> &Arc<TempDir> {
        &self._dir
    }

    /// The folder of its store.
    pub fn data(&self) -> PathBuf {
        self._dir.path().join("data")
    }

    /// A setting that it was started with.
    pub fn setting(&self, name: &str) -> String {
        self.settings.iter().find(|(set, _)| set == name).unwrap().1.clone()
    }

    /// Changes a setting from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub fn token(&self, subject: &str, role: &str) -> String {
        lucid_api::issue_token(SECRET, subject, role, 3600, lucid_model::time::TimeMs(now_ms()))
            .unwrap()
    }

    /// Sends a request; status and body.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let bytes = body.map(|b| serde_json::to_vec(b).unwrap());
        self.send(method, path, token, bytes, &[])
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Vec<u8>>,
        headers: &[(&str, String)],
    ) -> (u16, Value) {
        let (status, _, body) = self.answer(method, path, token, body, headers);
        (status, body)
    }

    /// The same with the answer's headers.
    pub fn answer(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Vec<u8>>,
        headers: &[(&str, String)],
    ) -> (u16, HeaderMap, Value) {
        let mut request = reqwest::Request::new(
            method.parse().unwrap(),
            format!("{}{path}", self.base).parse().unwrap(),
        );
        let mut set = |name: &str, value: &str| {
            request.headers_mut().insert(
                name.parse::<reqwest::header::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        };
        if let Some(token) = token {
            set("authorization", &format!("Bearer {token}"));
        }
        if body.is_some() {
            set("content-type", "application/json");
        }
        headers.iter().for_each(|(name, value)| set(name, value));
        *request.body_mut() = body.map(Into::into);
        let (status, headers, text) = block_on(async {
            let response = client().execute(request).await.unwrap();
            (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
        });
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A number of an answer as it is written, which a parsed one does not show.
    pub fn digits(&self, path: &str, field: &str) -> String {
        let token = self.token("admin", "super_admin");
        let request = client().get(format!("{}{path}", self.base)).bearer_auth(token);
        let text = block_on(async { request.send().await.unwrap().text().await.unwrap() });
        let after = text
            .split(&format!("\"{field}\":"))
            .nth(1)
            .unwrap_or_else(|| panic!("no {field} in {text}"));
        after.split([',', '}']).next().unwrap().to_owned()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.base.split_once("://").unwrap().1
    }

    /// All measurements.
    pub fn metrics(&self) -> String {
        // Good for long: some services have a clock of their own.
        let token = lucid_api::issue_token(
            SECRET,
            "monitoring",
            "viewer",
            100 * 86_400,
            lucid_model::time::TimeMs(now_ms()),
        )
        .unwrap();
        let (status, text) = self.call("GET", "/metrics", Some(&token), None);
        assert_eq!(status, 200, "{text}");
        text.as_str().unwrap().to_owned()
    }

    /// A figure of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Status, headers and text of a page that needs no token.
    pub fn page(&self, path: &str) -> (u16, HeaderMap, String) {
        let (status, headers, body) = self.answer("GET", path, None, None, &[]);
        (status, headers, body.as_str().map_or_else(|| body.to_string(), str::to_owned))
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) =
            self.call("GET", path, Some(&self.token("admin", "super_admin")), None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// `lucid payout …` as a treasurer does it: exit code, and what it says.
    pub fn treasurer(&self, subject: &str, args: &[&str]) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, self.token(subject, "super_admin")).unwrap();
        let remote = ["--server", &self.base, "--token-file", file.to_str().unwrap()];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lucid"))
            .arg("payout")
            .args(args)
            .args(remote)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    }

    /// Lets a store that was restored or copied pay again.
    pub fn reconcile_and_resume(&self) {
        let (code, said) =
            self.treasurer("carol", &["reconcile", "--since", "2026-01-01T00:00:00Z"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(self.treasurer("carol", &["resume", "--reason", "compared"]).0, Some(0));
    }

    /// A pool.
    pub fn create_pool(&self, name: &str) -> String {
        let (status, pool) = self.call(
            "POST",
            "/api/v1/pools",
            Some(&self.token("admin", "admin")),
            Some(&json!({ "name": name })),
        );
        assert_eq!(status, 201, "{pool}");
        pool["pool_id"].as_str().unwrap().to_owned()
    }
}

/// A port of this machine that nobody listens at.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Keeps a port from everybody, though nobody listens at it: who connects is refused, and no other
/// test's service answers in the place of one that was killed.
pub fn keep_port(port: u16) -> rustix::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt::set_socket_reuseaddr};
    let kept = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_reuseaddr(&kept, true).unwrap();
    bind(&kept, &std::net::SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    kept
}

pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A client of a test's own.
pub fn http() -> reqwest::ClientBuilder {
    // Whoever is first does it for the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// One runtime for all tests' requests.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
        })
        .block_on(future)
}

/// Sends a request to a service that may be killed meanwhile: the body of its answer, if one came.
pub fn attempt(method: &str, url: &str, token: &str, body: Option<&Value>) -> Option<Value> {
    let request = client().request(method.parse().unwrap(), url).bearer_auth(token);
    let request = body.iter().fold(request, |request, body| request.json(body));
    block_on(async { request.send().await.ok()?.json().await.ok() })
}

fn client() -> &'static reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| {
        // A pooled connection to a process that was killed would fail the next test's request.
        http().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap()
    })
}

/// A copy of a folder, for tests that change it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The sandbox as a process of its own: it lives on while the service is killed.
pub struct SandboxProcess {
    _process: Process,
    pub url: String,
    _dir: TempDir,
}

impl SandboxProcess {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args = [
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--data",
            dir.path().to_str().unwrap(),
            "--confirm-ms",
            "200",
            "--faults",
        ];
        let mut process = Process::start(&args, &[], true);
        let url = process.wait_for(|line| line.strip_prefix("sandbox: ").map(str::to_owned));
        Self { _process: process, url, _dir: dir }
    }

    pub fn get(&self, path: &str) -> Value {
        block_on(async {
            client().get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
        })
    }

    pub fn set_faults(&self, plan: &Value) {
        let status = block_on(async {
            client()
                .put(format!("{}/api/v1/sandbox/faults", self.url))
                .json(plan)
                .send()
                .await
                .unwrap()
                .status()
        });
        assert!(status.is_success(), "{status}");
    }
}
