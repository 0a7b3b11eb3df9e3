//! Isolation and blocks: which addresses stay open, that the tables stand, and that they go when they shall.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use guardian_protocol::message::{Action, Block as WantedBlock, Command, Denied, Isolate, Release, Unblock};

use super::books::{Block, Books, Clock, Isolation, Standing, Until};
use super::doing::{Doing, Done, Stop, denied};
use super::firewall::{self, BLOCKS, ISOLATION, Open};
use super::{Options, program};
use crate::connect::Place;

/// Blocks that stand at the same time.
const BLOCKS_MAX: usize = 4_096;
/// Addresses of the server that are kept open.
const CHANNEL_MAX: usize = 32;
/// How often the server's name is asked for again while the machine is isolated.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);
/// Longest time that one look takes.
const LOOK_TIME: Duration = Duration::from_secs(20);
/// What ends so soon the kernel may have taken away before the agent does.
const SOON: Duration = Duration::from_secs(3);
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What the kernel has, as far as the agent knows.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// How the tables looked right after they were set, without times.
    isolation: Option<String>,
    blocks: Option<String>,
    /// When the server's name was asked for.
    resolved: Option<Instant>,
    /// Name servers that the table of isolation has.
    dns: Vec<IpAddr>,
}

/// Where the agent connects to: the server, or the proxy on the way there.
fn place(options: &Options) -> Result<Place, Stop> {
    let place = match &options.proxy {
        Some(proxy) => Place::of(proxy, "http://", 3128),
        None => Place::of(&options.server, "https://", 443),
    };
    place.map_err(Stop::Failed)
}

fn resolve(place: &Place) -> Vec<(IpAddr, u16)> {
    let found = (place.host.as_str(), place.port).to_socket_addrs();
    let mut found: Vec<_> = found.into_iter().flatten().map(|a| (a.ip(), a.port())).take(CHANNEL_MAX).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Name servers that stay open: none where the server is known by its address, because then no name is asked for.
fn dns_of(options: &Options, isolation: &Isolation) -> Result<Vec<IpAddr>, Stop> {
    let by_address = place(options)?.host.parse::<IpAddr>().is_ok();
    if isolation.no_dns || by_address {
        return Ok(Vec::new());
    }
    let files = RESOLVERS.iter().filter_map(|file| fs::read_to_string(file).ok());
    let mut all: Vec<_> = files.flat_map(|file| firewall::name_servers(&file)).filter(|a| !a.is_loopback()).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn nft(text: &str, check: bool, doing: &Doing<'_>) -> Result<(), Stop> {
    let mut command = program::of("nft")?;
    command.args(if check { &["-c", "-f", "-"][..] } else { &["-f", "-"] });
    program::done(command, text.as_bytes(), doing).map(drop)
}

/// A table as it is, without times; none where there is none.
fn look(table: &str, doing: &Doing<'_>) -> Result<Option<String>, Stop> {
    let mut command = program::of("nft")?;
    command.args(["-s", "-n", "list", "table", "inet", table]);
    let ran = program::run(command, b"", guardian_sys::child::Limits::default(), None, 8 << 20, doing)?;
    // What has a time-out tells how much is left of it, which is no change.
    let text = String::from_utf8_lossy(&ran.output);
    Ok(ran.status.success().then(|| text.into_owned()))
}

fn table_of(options: &Options, isolation: &Isolation, clock: &Clock) -> Result<(String, Vec<IpAddr>), Stop> {
    let dns = dns_of(options, isolation)?;
    let open = Open {
        channel: isolation.channel.clone(),
        keep: isolation.keep.clone(),
        dns: dns.clone(),
        uid: nix::unistd::geteuid().as_raw(),
        left: isolation.until.as_ref().map(|until| until.left(clock)),
    };
    Ok((firewall::isolation(&open), dns))
}

fn blocks_of(blocks: &[Block], clock: &Clock) -> String {
    let left = |block: &Block| (block.address.clone(), block.until.as_ref().map(|until| until.left(clock)));
    let all: Vec<_> = blocks.iter().map(left).filter(|(_, left)| *left != Some(Duration::ZERO)).collect();
    if all.is_empty() { firewall::without(BLOCKS) } else { firewall::blocks(&all) }
}

fn for_how_long(seconds: u64) -> String {
    if seconds == 0 { "until it is ended".to_owned() } else { format!("for {seconds} s") }
}

/// Lets the machine speak with the server only.
pub(crate) fn isolate(
    options: &Options,
    books: &Books,
    applied: &mut Applied,
    wanted: &Isolate,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    let place = place(options)?;
    let channel = resolve(&place);
    if channel.is_empty() {
        let text = format!("`{}` has no address now: the way to the server would be cut", place.host);
        return Err(Stop::Failed(text));
    }
    let clock = Clock::read();
    let isolation = Isolation {
        command: HEXLOWER.encode(&doing.id),
        by: doing.by.to_owned(),
        since: crate::now(),
        until: Until::after(wanted.seconds, &clock),
        keep: wanted.keep.clone(),
        no_dns: wanted.no_dns,
        channel,
    };
    let (text, dns) = table_of(options, &isolation, &clock)?;
    doing.step("isolate", format!("table inet {ISOLATION}"), for_how_long(wanted.seconds));
    for (address, port) in &isolation.channel {
        doing.step("keep", format!("{address} port {port}"), format!("the way to the server ({})", place.authority()));
    }
    for server in &dns {
        doing.step("keep", format!("{server} port 53"), "a name server");
    }
    for keep in &wanted.keep {
        doing.step("keep", keep, "as wanted");
    }
    doing.step("cut", "all other connections", "those that stand too; loopback, DHCP and neighbour discovery stay");
    if doing.dry {
        // The kernel itself says whether it would take it.
        nft(&text, true, doing)?;
        return Ok(Done::new(format!("the machine would be isolated {}", for_how_long(wanted.seconds))));
    }
    let doing = &*doing;
    let edit = |standing: &mut Standing| {
        standing.isolation = Some(isolation.clone());
        Ok(())
    };
    books.change(edit, |_| nft(&text, false, doing))?;
    applied.isolation = look(ISOLATION, doing)?;
    (applied.resolved, applied.dns) = (Some(Instant::now()), dns);
    Ok(Done::new(format!("the machine is isolated {}", for_how_long(wanted.seconds)))
        .undone_by(Action::Release(Release::default())))
}

/// Ends the isolation.
pub(crate) fn release(
    books: &Books,
    applied: &mut Applied,
    wanted: &Release,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    let stands = books.standing()?.isolation.is_some();
    let there = stands || look(ISOLATION, doing)?.is_some();
    doing.step("release", format!("table inet {ISOLATION}"), wanted.reason.clone());
    if doing.dry {
        let text = if there { "the isolation would end" } else { "the machine is not isolated" };
        return Ok(Done::new(text));
    }
    let edit = |standing: &mut Standing| {
        standing.isolation = None;
        Ok(())
    };
    books.change(edit, |_| nft(&firewall::without(ISOLATION), false, doing))?;
    applied.isolation = None;
    Ok(Done::new(if there { "the isolation is over" } else { "the machine was not isolated" }))
}

/// Blocks a network. What the agent needs itself is refused.
pub(crate) fn block(
    options: &Options,
    books: &Books,
    applied: &mut Applied,
    wanted: &WantedBlock,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    let mut needed: Vec<IpAddr> = resolve(&place(options)?).into_iter().map(|(address, _)| address).collect();
    needed.extend(dns_of(options, &Isolation::default())?);
    let needed = needed.iter().find(|address| firewall::covers(&wanted.address, **address));
    if let Some(address) = needed {
        return denied(Denied::Protected, format!("{address} in it is on the way to the server"));
    }
    if ["127.0.0.1", "::1"].iter().any(|own| own.parse().is_ok_and(|own| firewall::covers(&wanted.address, own))) {
        return denied(Denied::Protected, "loopback is not blocked");
    }
    let clock = Clock::read();
    let block = Block {
        address: wanted.address.clone(),
        command: HEXLOWER.encode(&doing.id),
        until: Until::after(wanted.seconds, &clock),
    };
    doing.step("block", &wanted.address, for_how_long(wanted.seconds));
    let edit = |standing: &mut Standing| {
        let over = |block: &Block| block.until.as_ref().is_some_and(|until| until.left(&clock).is_zero());
        standing.blocks.retain(|other| other.address != block.address && !over(other));
        if standing.blocks.len() >= BLOCKS_MAX {
            return denied(Denied::Busy, format!("{BLOCKS_MAX} addresses and networks are blocked already"));
        }
        standing.blocks.push(block.clone());
        Ok(())
    };
    if doing.dry {
        let mut standing = books.standing()?;
        edit(&mut standing)?;
        nft(&blocks_of(&standing.blocks, &clock), true, doing)?;
        return Ok(Done::new(format!("{} would be blocked {}", wanted.address, for_how_long(wanted.seconds))));
    }
    let doing = &*doing;
    books.change(edit, |standing| nft(&blocks_of(&standing.blocks, &clock), false, doing))?;
    applied.blocks = look(BLOCKS, doing)?;
    let undo = Action::Unblock(Unblock { address: wanted.address.clone() });
    Ok(Done::new(format!("{} is blocked {}", wanted.address, for_how_long(wanted.seconds))).undone_by(undo))
}

/// Ends a block.
pub(crate) fn unblock(
    books: &Books,
    applied: &mut Applied,
    wanted: &Unblock,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    if !books.standing()?.blocks.iter().any(|block| block.address == wanted.address) {
        return denied(Denied::NotFound, format!("{} is not blocked", wanted.address));
    }
    doing.step("unblock", &wanted.address, "");
    if doing.dry {
        return Ok(Done::new(format!("the block of {} would end", wanted.address)));
    }
    let doing = &*doing;
    let edit = |standing: &mut Standing| {
        standing.blocks.retain(|block| block.address != wanted.address);
        Ok(())
    };
    books.change(edit, |standing| nft(&blocks_of(&standing.blocks, &Clock::read()), false, doing))?;
    applied.blocks = look(BLOCKS, doing)?;
    Ok(Done::new(format!("{} is not blocked any more", wanted.address)))
}

/// Ends what is over, puts back what is missing or was changed, and follows the server where its name leads.
pub(crate) fn look_after(
    options: &Options,
    books: &Books,
    applied: &mut Applied,
    complaints: &mut Vec<String>,
) -> Result<(), Stop> {
    let standing = books.standing()?;
    let nothing = standing.isolation.is_none() && standing.blocks.is_empty();
    if nothing && applied.isolation.is_none() && applied.blocks.is_none() {
        return Ok(());
    }
    let (none, command) = (AtomicBool::new(false), Command::default());
    let doing = Doing::new(&command, Instant::now() + LOOK_TIME, &none);
    look_after_isolation(options, books, applied, complaints, &standing, &doing)?;
    let clock = Clock::read();
    let over = |block: &Block| block.until.as_ref().is_some_and(|until| until.left(&clock).is_zero());
    let ended = standing.blocks.iter().any(over);
    if ended {
        let edit = |standing: &mut Standing| {
            standing.blocks.retain(|block| !over(block));
            Ok(())
        };
        books.change(edit, |_| Ok(()))?;
    }
    let left: Vec<Block> = standing.blocks.iter().filter(|block| !over(block)).cloned().collect();
    if left.is_empty() && applied.blocks.is_none() && !ended {
        return Ok(());
    }
    let now = look(BLOCKS, &doing)?;
    // Where one has ended the kernel took it away itself, or will within the second.
    let soon = |block: &Block| block.until.as_ref().is_some_and(|until| until.left(&clock) < SOON);
    let changed = applied.blocks.is_some() && now != applied.blocks && !ended && !left.iter().any(soon);
    if now.is_none() != left.is_empty() || changed || ended {
        nft(&blocks_of(&left, &clock), false, &doing)?;
        if changed {
            complaints.push(format!("response: table inet {BLOCKS} had been changed by somebody else"));
        }
    }
    applied.blocks = look(BLOCKS, &doing)?;
    Ok(())
}

/// Puts places before those of a channel; whether any of them is new.
fn widen(channel: &mut Vec<(IpAddr, u16)>, found: Vec<(IpAddr, u16)>) -> bool {
    if found.iter().all(|one| channel.contains(one)) {
        return false;
    }
    channel.splice(0..0, found);
    channel.truncate(CHANNEL_MAX);
    let mut seen = Vec::new();
    channel.retain(|one| {
        let new = !seen.contains(one);
        seen.push(*one);
        new
    });
    true
}

fn look_after_isolation(
    options: &Options,
    books: &Books,
    applied: &mut Applied,
    complaints: &mut Vec<String>,
    standing: &Standing,
    doing: &Doing<'_>,
) -> Result<(), Stop> {
    let clock = Clock::read();
    let over = |isolation: &Isolation| isolation.until.as_ref().is_some_and(|until| until.left(&clock).is_zero());
    let remove = |_: &Standing| nft(&firewall::without(ISOLATION), false, doing);
    let Some(isolation) = &standing.isolation else {
        // Root ended it beside the running agent.
        if applied.isolation.take().is_some() && look(ISOLATION, doing)?.is_some() {
            remove(standing)?;
        }
        return Ok(());
    };
    if over(isolation) {
        let edit = |standing: &mut Standing| {
            if standing.isolation.as_ref().is_some_and(over) {
                standing.isolation = None;
            }
            Ok(())
        };
        books.change(edit, remove)?;
        applied.isolation = None;
        return Ok(());
    }
    let now = look(ISOLATION, doing)?;
    let soon = isolation.until.as_ref().is_some_and(|until| until.left(&clock) < SOON);
    let changed = applied.isolation.is_some() && now != applied.isolation && !soon;
    let mut isolation = isolation.clone();
    let mut moved = false;
    if !isolation.no_dns && applied.resolved.is_none_or(|at| at.elapsed() >= RESOLVE_EVERY) {
        let found = resolve(&place(options)?);
        applied.resolved = Some(Instant::now());
        // Where it was stays open too: who answers for a name while the machine is isolated may not be who should.
        moved = widen(&mut isolation.channel, found);
        moved |= dns_of(options, &isolation)? != applied.dns;
    }
    if now.is_some() && !changed && !moved {
        applied.isolation = now;
        return Ok(());
    }
    let (text, dns) = table_of(options, &isolation, &clock)?;
    let edit = |standing: &mut Standing| {
        if let Some(standing) = standing.isolation.as_mut().filter(|s| s.command == isolation.command) {
            standing.channel.clone_from(&isolation.channel);
        }
        Ok(())
    };
    books.change(edit, |_| nft(&text, false, doing))?;
    if changed {
        complaints.push(format!("response: table inet {ISOLATION} had been changed by somebody else"));
    }
    applied.isolation = look(ISOLATION, doing)?;
    applied.dns = dns;
    Ok(())
}
