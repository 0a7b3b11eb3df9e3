//! Nmap's XML (its DTD, `nmap.dtd`): services, and what its scripts found.

use guardian_inventory::xml::{self, Element};

use super::{Imported, Report, Service, cves};
use crate::advisory::{clip, line};
use crate::limits::COMPONENTS_MAX;

/// What is in a report.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let error = |error: guardian_inventory::Malformed| error.to_string();
    let mut document = xml::Document::new(bytes).map_err(error)?;
    let mut report = Report::default();
    while let Some(element) = document.next_open().map_err(error)? {
        if element.name == "host" {
            let host = document.fill(element).map_err(error)?;
            read_host(&host, &mut report);
        }
    }
    Ok(report)
}

fn read_host(host: &Element, report: &mut Report) {
    let address = host.all("address").find(|address| address.attribute("addrtype") != "mac");
    let address = clip(address.map_or("", |address| address.attribute("addr")));
    for port in host.child("ports").into_iter().flat_map(|list| list.all("port")) {
        if port.child("state").is_some_and(|state| state.attribute("state") != "open") {
            continue;
        }
        let number = clip(&format!("{}/{}", port.attribute("portid"), port.attribute("protocol")));
        let service = port.child("service");
        let of = |key: &str| service.map_or("", |service| service.attribute(key));
        let product =
            [of("product"), of("version")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let found =
            Service { host: address.clone(), port: number.clone(), name: clip(of("name")), product: clip(&product) };
        if report.services.len() < COMPONENTS_MAX {
            report.services.push(found);
        }
        port.all("script").for_each(|script| read_script(script, &address, &number, &product, report));
    }
    for script in host.child("hostscript").into_iter().flat_map(|list| list.all("script")) {
        read_script(script, &address, "", "", report);
    }
}

fn read_script(script: &Element, host: &str, port: &str, product: &str, report: &mut Report) {
    let (id, output) = (script.attribute("id"), script.attribute("output"));
    // These look a version up and try nothing.
    let by_version = matches!(id, "vulners" | "vulscan");
    let vulnerable = output.contains("VULNERABLE") && !output.contains("NOT VULNERABLE");
    if !by_version && !vulnerable {
        return;
    }
    let mut names = cves(output);
    if names.is_empty() && vulnerable {
        names.push(format!("NMAP-{}", clip(id)));
    }
    let title = output.lines().map(str::trim).find(|text| !text.is_empty() && !text.starts_with("VULNERABLE"));
    for name in names {
        report.push(Imported {
            scanner: "nmap".to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            names: vec![name],
            package: clip(product),
            summary: line(title.unwrap_or(id)),
            by_version,
            ..Imported::default()
        });
    }
}
