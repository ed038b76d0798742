use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use lucid_engine::{EngineConfig, LoadCounts, PolicyEngine};
use lucid_model::policies::{PolicyKind, Scope};

use crate::support::{built_in, call, publish, rig};

const COMPILED: LoadCounts = LoadCounts { compiled: 1, from_cache: 0 };
const FROM_CACHE: LoadCounts = LoadCounts { compiled: 0, from_cache: 1 };

/// Loads one policy with an engine of its own and says how it came to be loaded.
async fn load(config: &EngineConfig) -> LoadCounts {
    let engine = PolicyEngine::new(config.clone()).unwrap();
    publish(&engine, 1, &[(&built_in("observation-only"), Scope::Default)]).await.unwrap();
    let policy = engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap();
    let (context, batch) = call(policy.identity(), 1);
    assert_eq!(policy.score(&context, &batch).unwrap().multipliers.len(), 1);
    engine.load_counts()
}

fn entries(config: &EngineConfig, extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(&config.cache_dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[tokio::test]
async fn a_component_is_compiled_once_and_a_damaged_entry_again() {
    let rig = rig();
    assert_eq!(load(&rig.config).await, COMPILED);
    assert_eq!(load(&rig.config).await, FROM_CACHE);

    let image = entries(&rig.config, "cwasm").remove(0);
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    let mut bytes = fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, &bytes).unwrap();
    assert_eq!(load(&rig.config).await, COMPILED, "one flipped bit");
    assert_eq!(load(&rig.config).await, FROM_CACHE, "the entry was repaired");

    fs::write(&image, &bytes[..middle]).unwrap();
    assert_eq!(load(&rig.config).await, COMPILED, "cut short");
    fs::remove_file(entries(&rig.config, "sha256").remove(0)).unwrap();
    assert_eq!(load(&rig.config).await, COMPILED, "without its digest");
    assert_eq!(entries(&rig.config, "tmp").len(), 0);
}

#[tokio::test]
async fn a_setting_that_changes_the_code_has_entries_of_its_own() {
    let rig = rig();
    load(&rig.config).await;
    let same_code = EngineConfig { guest_threads: 1, ..rig.config.clone() };
    assert_eq!(load(&same_code).await.from_cache, 1);
    assert_eq!(entries(&rig.config, "cwasm").len(), 1);
}

#[tokio::test]
async fn what_others_could_have_written_is_not_believed() {
    let rig = rig();
    for mode in [0o770, 0o707, 0o722, 0o2770] {
        load(&rig.config).await;
        assert_eq!(load(&rig.config).await, FROM_CACHE, "{mode:o}");
        fs::set_permissions(&rig.config.cache_dir, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&rig.config).await, COMPILED, "{mode:o}");
        assert_eq!(
            fs::metadata(&rig.config.cache_dir).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_costs_a_compilation_and_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    for unusable in [file.clone(), link, file.join("inside")] {
        let config = EngineConfig { cache_dir: unusable.clone(), ..rig().config.clone() };
        assert_eq!(load(&config).await, COMPILED, "{}", unusable.display());
        assert_eq!(load(&config).await, COMPILED, "{}", unusable.display());
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing was put where the link leads"
    );
}
