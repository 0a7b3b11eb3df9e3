/** How one sort of device is told to send its flows. */
export interface Device {
  name: string;
  text: string;
}

/** The address that stands for this server in the manual. */
const EXAMPLE = /\b192\.0\.2\.10\b/g;
/** Sections of the manual's page that are about no device. */
const OTHER = /^(What to choose|No exporter|Several customers|What|How|Behind|Check|Lost)/;

/** The sections of the manual's page on exporters that are about a device, with `host` for the example's address. */
export function devices(page: string, host: string): Device[] {
  return page
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [name = "", ...rest] = section.split("\n");
      return { name: name.trim(), text: rest.join("\n").trim().replace(EXAMPLE, host) };
    })
    .filter((device) => !OTHER.test(device.name));
}
