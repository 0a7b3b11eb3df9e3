//! Decoding into columns, and the crate `netflow_parser` on the same datagrams.

#[path = "../tests/support/encode.rs"]
mod encode;
#[path = "../tests/support/load.rs"]
mod load;
#[path = "../tests/support/peer.rs"]
mod peer;

use divan::Bencher;
use divan::counter::ItemsCount;
use load::{Load, Ours, loads};
use peer::Theirs;

fn main() {
    divan::main();
}

const NAMES: [&str; 3] = ["netflow5", "netflow9", "ipfix"];

fn named(name: &str) -> Load {
    loads().into_iter().find(|load| load.name == name).expect("a load of this name")
}

#[divan::bench(args = NAMES)]
fn guardian(bencher: Bencher<'_, '_>, name: &str) {
    let load = named(name);
    let mut ours = Ours::new(&load);
    bencher
        .counter(ItemsCount::new(load.flows))
        .bench_local(|| load.datagrams.iter().map(|d| ours.datagram(d)).sum::<u64>());
}

#[divan::bench(args = NAMES)]
fn netflow_parser(bencher: Bencher<'_, '_>, name: &str) {
    let load = named(name);
    let mut theirs = Theirs::new(&load);
    bencher
        .counter(ItemsCount::new(load.flows))
        .bench_local(|| load.datagrams.iter().map(|d| theirs.datagram(d)).sum::<u64>());
}
