use super::*;

const DATA: &str = "/var/lib/lucid-agent";
const SDA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda";

/// The disk that most machines here have: a boot partition and a root.
fn with_sda(machine: Machine, gigabytes: u64) -> Machine {
    machine
        .disk("8:0", SDA, gigabytes, false)
        .partition("8:1", &format!("{SDA}/sda1"))
        .partition("8:2", &format!("{SDA}/sda2"))
}

#[test]
fn the_datasets_of_a_pool_share_its_room() {
    let machine = Machine::new(
        "\
30 1 0:25 / / rw,relatime shared:1 - zfs rpool/ROOT/ubuntu rw,xattr
31 30 0:26 / /var/lib rw,relatime shared:2 - zfs rpool/var/lib rw,xattr
32 30 259:1 / /boot/efi rw,relatime shared:3 - vfat /dev/nvme0n1p1 rw
40 30 0:40 / /tank rw,relatime shared:4 - zfs tank rw,xattr
41 40 0:41 / /tank/a rw,relatime shared:5 - zfs tank/a rw,xattr
42 40 0:42 / /tank/b rw,relatime shared:6 - zfs tank/b rw,xattr
43 30 0:42 /sub /srv/b rw,relatime shared:6 - zfs tank/b rw,xattr
44 41 0:44 / /tank/a/.zfs/snapshot/monday ro,relatime - zfs tank/a@monday ro,xattr
",
    );
    let nvme = "pci0000:00/0000:00:1d.0/nvme/nvme0/nvme0n1";
    let machine =
        machine.disk("259:0", nvme, 500, false).partition("259:1", &format!("{nvme}/nvme0n1p1"));
    let machine = machine.room("/", 380).room("/var/lib", 390).room("/boot/efi", 1);
    let machine = machine
        .room("/tank", 6_000)
        .room("/tank/a", 8_000)
        .room("/tank/b", 7_000)
        .room("/tank/a/.zfs/snapshot/monday", 1_000);
    assert_eq!(machine.counted(DATA).0, 1 + 390 + 8_000);
    assert_eq!(machine.holding(DATA).as_deref(), Some("/var/lib"));
}

#[test]
fn what_is_on_the_network_is_neither_counted_nor_asked() {
    let machine = Machine::new(
        "\
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 8:1 / /boot rw,relatime shared:2 - ext4 /dev/sda1 rw
30 22 0:50 / /mnt/nfs rw,relatime shared:3 - nfs4 nas:/volume1 rw,hard
31 22 0:51 / /mnt/nfs3 rw,relatime shared:4 - nfs nas:/volume1 rw,hard
32 22 0:52 / /mnt/smb rw,relatime shared:5 - cifs //nas/share rw
33 22 0:53 / /mnt/drive rw,relatime shared:6 - fuse.rclone gdrive: rw
34 22 0:54 / /mnt/bucket rw,relatime shared:7 - fuse.s3fs s3fs rw
35 22 0:55 / /mnt/ceph rw,relatime shared:8 - ceph 10.0.0.1:6789:/ rw
36 22 0:56 / /mnt/gluster rw,relatime shared:9 - fuse.glusterfs gl:/v rw
37 22 0:57 / /mnt/ssh rw,relatime shared:10 - fuse.sshfs me@there: rw
38 22 0:58 / /mnt/plan9 rw,relatime shared:11 - 9p share rw
39 22 0:59 / /mnt/virtio rw,relatime shared:12 - virtiofs share rw
40 22 0:60 / /mnt/pool rw,relatime shared:13 - fuse.mergerfs a:b rw
41 22 0:61 / /mnt/auto rw,relatime shared:14 - autofs systemd-1 rw
42 22 0:62 / /mnt/lustre rw,relatime shared:15 - lustre 10.0.0.1@tcp:/l rw
43 22 43:0 / /mnt/nbd rw,relatime shared:16 - ext4 /dev/nbd0 rw
44 22 253:9 / /mnt/cluster rw,relatime shared:17 - gfs2 /dev/mapper/shared rw
45 22 0:63 / /dev/shm rw - tmpfs tmpfs rw
",
    );
    let machine = with_sda(machine, 500)
        .disk("43:0", "virtual/block/nbd0", 900, false)
        .room("/", 480)
        .room("/boot", 1);
    assert_eq!(machine.counted(DATA), (481, points(&["/boot", "/"])));
    // An agent that keeps its data there says how full the disk around it is.
    for data in ["/mnt/nfs/agent", "/mnt/bucket/agent", "/mnt/plan9/agent", "/dev/shm/agent"] {
        assert_eq!(machine.holding(data).as_deref(), Some("/"), "{data}");
    }
    assert_eq!(machine.counted("/mnt/nfs/agent").0, 481);
    let diskless = Machine::new(
        "22 1 0:20 / / rw - nfs4 boot:/root rw\n23 22 0:21 / /tmp rw - tmpfs tmpfs rw\n",
    );
    assert_eq!((diskless.counted(DATA), diskless.holding(DATA)), ((0, vec![]), None));
}

#[test]
fn a_disk_whose_mount_point_a_share_took_is_not_asked_there() {
    let machine = Machine::new(
        "\
22 1 8:2 / / rw - ext4 /dev/sda2 rw
23 22 8:1 / /data rw - ext4 /dev/sda1 rw
24 23 0:50 / /data rw - nfs4 nas:/data rw
25 22 8:1 / /srv/data rw - ext4 /dev/sda1 rw
26 22 0:51 / /srv/own rw - nfs4 nas:/own rw
",
    );
    let machine = with_sda(machine, 500).room("/", 400).room("/srv/data", 90);
    assert_eq!(machine.counted(DATA), (490, points(&["/srv/data", "/"])));
    assert_eq!(
        machine.holding("/data/agent").as_deref(),
        Some("/"),
        "the disk below cannot be asked"
    );
}

#[test]
fn windows_drives_in_wsl_are_not_this_machines() {
    let machine = Machine::new(
        "\
60 50 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard
61 60 0:26 / /mnt/wsl rw,relatime shared:1 - tmpfs none rw
62 60 0:28 / /usr/lib/wsl/drivers ro,nosuid - 9p drivers ro,aname=drivers
63 60 0:31 / /usr/lib/wsl/lib rw,relatime - overlay none rw
64 60 0:2 /init /init ro - rootfs rootfs rw
65 60 0:51 / /mnt/c rw,noatime - 9p C:\\134 rw,aname=drvfs
66 60 8:32 / /mnt/wslg/distro ro,relatime shared:2 - ext4 /dev/sdc rw
67 60 0:52 / /mnt/wslg/versions.txt rw - overlay none rw
",
    );
    let machine = machine
        .disk(
            "8:32",
            "LNXSYSTM:00/VMBUS:00/fd1d2cbd/host0/target0:0:0/0:0:0:2/block/sdc",
            1_100,
            false,
        )
        .room("/", 1_081);
    assert_eq!(machine.counted(DATA), (1_081, points(&["/"])));
}

#[test]
fn a_container_has_the_disk_in_sight_or_else_what_its_layers_show() {
    let overlay =
        "600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c\n";
    let files = "610 600 8:2 /x/hosts /etc/hosts rw - ext4 /dev/sda2 rw\n611 600 8:2 /x/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda2 rw\n";
    let machine = with_sda(
        Machine::new(&format!("{overlay}{files}601 600 0:51 / /dev rw - tmpfs tmpfs rw\n")),
        500,
    )
    .room("/etc/hosts", 480);
    assert_eq!(machine.counted(DATA), (480, points(&["/etc/hosts"])));
    assert_eq!(machine.holding(DATA).as_deref(), Some("/"));
    let alone =
        Machine::new(&format!("{overlay}601 600 0:51 / /dev rw - tmpfs tmpfs rw\n")).room("/", 470);
    assert_eq!(alone.counted(DATA), (470, points(&["/"])));
    // Where the machine around boots from USB, only the layer says that the data is there.
    let usb = "platform/scb/fd500000.pcie/usb2/2-1/2-1:1.0/host0/target0:0:0/0:0:0:0/block/sda";
    let on_usb = Machine::new(&format!("{overlay}{files}"))
        .disk("8:0", usb, 64, true)
        .partition("8:2", &format!("{usb}/sda2"))
        .room("/", 60);
    assert_eq!(on_usb.counted(DATA), (60, points(&["/"])));
}

#[test]
fn images_compressed_memory_and_files_as_disks_are_none() {
    let machine = Machine::new(
        "\
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 22 7:0 / /snap/core22/1 ro,nodev shared:2 - squashfs /dev/loop0 ro
31 22 7:1 / /snap/lxd/2 ro,nodev shared:3 - squashfs /dev/loop1 ro
32 22 7:2 / /mnt/image rw shared:4 - ext4 /dev/loop2 rw
33 22 253:0 / /mnt/vault rw shared:5 - ext4 /dev/mapper/vault rw
34 22 254:0 / /var/cache/fast rw shared:6 - ext4 /dev/zram0 rw
35 22 1:0 / /mnt/ram rw shared:7 - ext4 /dev/ram0 rw
36 22 11:0 / /media/cdrom ro shared:8 - iso9660 /dev/sr0 ro
37 22 11:1 / /media/dvd ro shared:9 - udf /dev/sr1 ro
38 22 0:40 / /var/lib/lxcfs rw shared:10 - fuse.lxcfs lxcfs rw
",
    );
    let machine = with_sda(machine, 500).room("/", 480);
    let machine = machine.disk("7:2", "virtual/block/loop2", 10, false).disk(
        "7:3",
        "virtual/block/loop3",
        10,
        false,
    );
    let machine = machine.stacked("253:0", "dm-0", Some("vault"), &["loop3"]);
    let machine = machine.disk("254:0", "virtual/block/zram0", 8, false).disk(
        "1:0",
        "virtual/block/ram0",
        1,
        false,
    );
    let machine = machine.disk("11:0", "pci0000:00/ata2/block/sr0", 4, true);
    assert_eq!(machine.counted(DATA), (480, points(&["/"])));
    assert_eq!(
        machine.holding("/mnt/image/agent").as_deref(),
        Some("/mnt/image"),
        "usage is of where the data is"
    );
    assert_eq!(machine.holding("/mnt/ram/agent").as_deref(), Some("/"));
    assert_eq!(
        machine.counted("/mnt/image/agent").0,
        480,
        "the image is on the disk that is counted"
    );
}

#[test]
fn a_machine_that_boots_from_usb_counts_that_disk_and_no_other_on_usb() {
    let (usb, bus) = (
        "platform/scb/fd500000.pcie/usb2/2-1/2-1:1.0/host0/target0:0:0/0:0:0:0/block/sda",
        "platform/soc/usb1/1-1/block",
    );
    let machine = Machine::new(
        "\
22 1 8:2 / / rw,noatime shared:1 - ext4 /dev/sda2 rw
23 22 8:1 / /boot/firmware rw,relatime shared:2 - vfat /dev/sda1 rw
24 22 8:17 / /media/stick rw shared:3 - vfat /dev/sdb1 rw
25 22 8:33 / /media/case rw shared:4 - fuseblk /dev/sdc1 rw
26 22 179:1 / /media/card rw shared:5 - ext4 /dev/mmcblk0p1 rw
",
    );
    let machine = machine
        .disk("8:0", usb, 240, true)
        .partition("8:1", &format!("{usb}/sda1"))
        .partition("8:2", &format!("{usb}/sda2"));
    let machine = machine
        .disk("8:16", &format!("{bus}/sdb"), 32, true)
        .partition("8:17", &format!("{bus}/sdb/sdb1"));
    let machine = machine
        .disk("8:32", &format!("{bus}/sdc"), 4_000, false)
        .partition("8:33", &format!("{bus}/sdc/sdc1"));
    let card = "platform/emmc2bus/mmc_host/mmc0/block/mmcblk0";
    let machine =
        machine.disk("179:0", card, 64, false).partition("179:1", &format!("{card}/mmcblk0p1"));
    let machine = machine
        .room("/", 220)
        .room("/boot/firmware", 1)
        .room("/media/card", 60)
        .room("/media/case", 3_900);
    assert_eq!(machine.counted(DATA), (281, points(&["/media/card", "/boot/firmware", "/"])));
    assert_eq!(
        machine.counted("/media/case/agent"),
        (3_960, points(&["/media/card", "/media/case"]))
    );
}

#[test]
fn a_sata_disk_that_can_be_changed_is_no_stick() {
    let machine = Machine::new(
        "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n23 22 8:16 / /srv rw - xfs /dev/sdb rw\n24 22 8:32 / /mnt/zip rw - vfat /dev/sdc rw\n",
    );
    let machine = with_sda(machine, 500)
        .disk("8:16", "pci0000:00/ata2/host1/block/sdb", 2_000, true)
        .disk("8:32", "pci0000:00/host5/block/sdc", 1, true);
    assert_eq!(machine.room("/", 480).room("/srv", 1_990).counted(DATA).0, 2_470);
}

#[test]
fn encryption_volumes_and_arrays_count_what_is_on_them_once() {
    let machine = Machine::new(
        "\
22 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw
23 22 8:1 / /boot rw - ext4 /dev/sda1 rw
24 22 253:2 / /home rw - xfs /dev/mapper/vg-home rw
25 22 253:2 /shared /srv/shared rw - xfs /dev/mapper/vg-home rw
26 22 9:0 / /data rw - ext4 /dev/md0 rw
",
    );
    let machine = with_sda(machine, 500).stacked("253:0", "dm-0", Some("crypt"), &["sda2"]);
    let machine = machine.stacked("253:1", "dm-1", Some("vg-root"), &["dm-0"]).stacked(
        "253:2",
        "dm-2",
        Some("vg-home"),
        &["dm-0"],
    );
    let machine = machine.disk("8:16", "pci0000:00/ata2/block/sdb", 4_000, false).disk(
        "8:32",
        "pci0000:00/ata3/block/sdc",
        4_000,
        false,
    );
    let machine = machine
        .stacked("9:0", "md0", None, &["sdb", "sdc"])
        .room("/", 90)
        .room("/boot", 1)
        .room("/home", 380)
        .room("/data", 3_990);
    assert_eq!(machine.counted(DATA).0, 90 + 1 + 380 + 3_990);
}

#[test]
fn volumes_that_promise_more_than_their_disk_holds_count_what_it_holds() {
    let machine = Machine::new(
        "\
22 1 253:3 / / rw - ext4 /dev/mapper/vg-root rw
23 22 253:4 / /a rw - ext4 /dev/mapper/vg-a rw
24 22 253:5 / /snapshot ro - ext4 /dev/mapper/vg-snapshot ro
25 22 8:16 / /srv rw - xfs /dev/sdb rw
",
    );
    let machine = with_sda(machine, 500).stacked("253:2", "dm-2", Some("vg-thin-tpool"), &["sda2"]);
    let machine = machine
        .stacked("253:3", "dm-3", None, &["dm-2"])
        .stacked("253:4", "dm-4", None, &["dm-2"])
        .stacked("253:5", "dm-5", None, &["dm-2"]);
    let machine = machine.disk("8:16", "pci0000:00/ata2/block/sdb", 100, false);
    assert_eq!(
        machine
            .room("/", 400)
            .room("/a", 900)
            .room("/snapshot", 400)
            .room("/srv", 99)
            .counted(DATA)
            .0,
        600
    );
}

#[test]
fn subvolumes_are_one_file_system_and_may_be_on_more_disks_than_one() {
    let same = "\
22 1 0:30 /@ / rw - btrfs /dev/sda2 rw,subvol=/@
23 22 0:30 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home
24 22 0:30 /@var /var rw - btrfs /dev/sda2 rw,subvol=/@var
";
    let machine = with_sda(Machine::new(same), 500).room("/", 2_400);
    assert_eq!(machine.counted(DATA), (2_400, points(&["/"])), "it is on another disk, too");
    // Some kernels show a number of its own for each.
    let own = same.replacen("0:30", "0:31", 1).replacen("0:30", "0:32", 1);
    assert_eq!(with_sda(Machine::new(&own), 500).room("/", 490).counted(DATA).0, 490);
    // Encrypted, with and without `/dev` in sight; a container has a file of it in the place of a
    // directory.
    let encrypted = same.replace("/dev/sda2", "/dev/mapper/cryptroot")
        + "25 22 253:0 /x /etc/hosts rw - ext4 /dev/mapper/cryptroot rw\n";
    let hidden = with_sda(Machine::new(&encrypted), 500)
        .stacked("253:0", "dm-0", Some("cryptroot"), &["sda2"])
        .room("/", 490);
    assert_eq!(hidden.counted(DATA), (490, points(&["/"])));
    let seen = with_sda(Machine::new(&encrypted), 500)
        .stacked("253:0", "dm-0", None, &["sda2"])
        .room("/", 490);
    seen.write("dev/dm-0", "");
    seen.link("dev/mapper/cryptroot", "dev/dm-0");
    assert_eq!(seen.counted(DATA), (490, points(&["/"])));
    let usb = "pci0000:00/usb1/1-1/block/sda";
    let elsewhere = Machine::new(
        "22 1 0:20 / / rw - overlay overlay rw\n23 22 0:30 / /media/usb rw - btrfs /dev/sda rw\n",
    );
    assert_eq!(
        elsewhere.disk("8:0", usb, 32, false).room("/", 7).counted(DATA).0,
        7,
        "a subvolume on USB is on USB"
    );
}

#[test]
fn names_with_spaces_are_asked_as_they_are() {
    let machine = with_sda(
        Machine::new(
            "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n23 22 8:1 / /mnt/my\\040disk rw - ext4 /dev/sda1 rw\n",
        ),
        500,
    );
    let machine = machine.room("/", 100).room("/mnt/my disk", 390);
    assert_eq!(machine.counted(DATA).0, 490);
    assert_eq!(machine.holding("/mnt/my disk/agent").as_deref(), Some("/mnt/my disk"));
}

#[test]
fn where_the_tree_of_devices_is_hidden_names_decide() {
    let machine = Machine::new(
        "\
22 1 8:2 / / rw - ext4 /dev/sda2 rw
23 22 8:2 /x /srv rw - ext4 /dev/sda2 rw
24 22 7:0 / /mnt/image rw - ext4 /dev/loop0 rw
25 22 0:40 / /b rw - btrfs /dev/sdb rw
26 22 0:40 /s /b/s rw - btrfs /dev/sdb rw
27 22 0:41 / /flash rw - ubifs ubi0:rootfs rw
28 22 43:0 / /mnt/nbd rw - ext4 /dev/nbd0 rw
",
    );
    assert_eq!(machine.room("/", 480).room("/b", 90).room("/flash", 1).counted(DATA).0, 571);
}

#[test]
fn a_size_that_cannot_be_is_no_overflow() {
    let machine = with_sda(
        Machine::new("22 1 0:30 / / rw - btrfs /dev/sda2 rw\n23 22 0:40 / /t rw - zfs t rw\n"),
        500,
    );
    let table = machine.table();
    let survey =
        Survey { table: &table, medium: |mount: &Mount| Medium::of(machine.root.path(), mount) };
    let most = |_: &Path| Some(Room { total: u64::MAX, available: 0 });
    assert_eq!(survey::total_bytes(&survey.stores(Path::new(DATA)), most), u64::MAX);
    assert_eq!(survey::total_bytes(&survey.stores(Path::new(DATA)), |_| None), 0);
}
