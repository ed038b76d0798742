use super::*;

fn sample(uptime: u64) -> SampleRequest {
    SampleRequest { uptime: Some(uptime), ..SampleRequest::default() }
}

const LIMITS: SpoolLimits = SpoolLimits { bytes_max: 1 << 20, age_max: Duration::from_secs(3600) };

async fn open(dir: &tempfile::TempDir) -> Disk {
    Disk::open(dir.path().to_owned(), LIMITS, AgentStatus::default()).await.unwrap()
}

#[tokio::test]
async fn a_sequence_number_is_never_used_by_two_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut used = Vec::new();
    for _ in 0..3 {
        let disk = open(&dir).await;
        for _ in 0..3 {
            used.push(disk.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap().sequence);
        }
    }
    assert_eq!(used, [1, 2, 3, 1001, 1002, 1003, 2001, 2002, 2003]);
}

#[tokio::test]
async fn a_number_the_service_has_is_skipped_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir).await;
    let report = disk.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap();
    assert_eq!(disk.renumber(report, 5000).await.unwrap().sequence, 5001);
    drop(disk);
    assert_eq!(
        open(&dir).await.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap().sequence,
        6001
    );
}

#[tokio::test]
async fn a_kept_report_is_the_same_after_a_restart_and_its_samples_are_not_spooled_twice() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir).await;
    disk.spool(sample(1)).await.unwrap();
    disk.spool(sample(2)).await.unwrap();
    let report = disk.unspool().await.unwrap().unwrap();
    assert_eq!((report.samples, disk.spooled().await.unwrap()), (2, 0));
    drop(disk);
    let disk = open(&dir).await;
    assert_eq!(disk.pending().await.unwrap(), Some(report.clone()));
    disk.settle(&report).await.unwrap();
    assert_eq!(disk.pending().await.unwrap(), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_report_that_a_full_disk_cannot_keep_is_sent_and_its_segment_stays_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir).await;
    disk.spool(sample(1)).await.unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("pending.json.new")).unwrap();
    let report = disk.unspool().await.unwrap().unwrap();
    assert!(disk.trouble().await.unwrap().is_some_and(|trouble| trouble.contains("No space left")));
    assert_eq!((report.samples, disk.spooled().await.unwrap()), (1, 1));
    drop(disk);
    let disk = open(&dir).await;
    let again = disk.unspool().await.unwrap().unwrap();
    assert_eq!(again.body, report.body, "killed before its fate was known");
    disk.settle(&again).await.unwrap();
    assert_eq!(disk.spooled().await.unwrap(), 0);
}

#[tokio::test]
async fn one_directory_serves_one_agent() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!is_in_use(dir.path()));
    let disk = open(&dir).await;
    assert!(is_in_use(dir.path()));
    assert!(matches!(
        Disk::open(dir.path().to_owned(), LIMITS, AgentStatus::default()).await,
        Err(AgentError::InUse { .. })
    ));
    drop(disk);
    assert!(!is_in_use(dir.path()));
    open(&dir).await;
}
