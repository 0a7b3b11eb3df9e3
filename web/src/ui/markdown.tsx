import { lexer, type Token, type Tokens } from "marked";
import { Fragment, type ReactNode } from "react";
import { classes } from "./classes";

export type LinkFor = (
  href: string,
) => { href: string; external: boolean; onClick?: (event: React.MouseEvent) => void } | null;

/** Anchors as they are made from headings: lower case, spaces to hyphens, other marks dropped. */
export function anchor(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(" ", "-")
    .replace(/[^\p{L}\p{N}_-]/gu, "");
}

const SAFE = /^(https?:|mailto:|[./#]|[\w-]+(\.md)?(#|$))/i;

/** Entities that the lexer leaves in text. */
function plain(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
}

function inline(tokens: readonly Token[] | undefined, link: LinkFor): ReactNode {
  return tokens?.map((token, index) => <Fragment key={index}>{inlineToken(token, link)}</Fragment>);
}

function inlineToken(token: Token, link: LinkFor): ReactNode {
  switch (token.type) {
    case "strong":
      return <strong className="font-semibold text-text">{inline(token.tokens, link)}</strong>;
    case "em":
      return <em>{inline(token.tokens, link)}</em>;
    case "del":
      return <del>{inline(token.tokens, link)}</del>;
    case "codespan":
      return <code className="mono rounded-s bg-sunken px-1 py-0.5">{plain(token.text)}</code>;
    case "br":
      return <br />;
    case "link": {
      const target = SAFE.test(token.href) ? link(token.href) : null;
      if (!target) return inline(token.tokens, link);
      const outside = target.external ? { target: "_blank", rel: "noreferrer noopener" } : {};
      return (
        <a
          href={target.href}
          {...(target.onClick ? { onClick: target.onClick } : {})}
          {...outside}
          className="text-accent underline decoration-accent/40 underline-offset-2 hover:decoration-accent"
        >
          {inline(token.tokens, link)}
        </a>
      );
    }
    case "text":
    case "escape":
      return "tokens" in token && token.tokens ? inline(token.tokens, link) : plain(token.text);
    default:
      // Raw HTML and images of other places are shown as they were written, never interpreted.
      return plain(token.raw);
  }
}

const HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"] as const;
const HEADING_LOOKS = [
  "text-xl mt-0 mb-4 tracking-[-0.012em]",
  "text-lg mt-8 mb-3",
  "text-base mt-6 mb-2",
  "text-sm mt-4 mb-2",
  "text-sm",
  "text-sm",
];

function block(token: Token, key: number, link: LinkFor): ReactNode {
  switch (token.type) {
    case "heading": {
      const Heading = HEADINGS[Math.min(token.depth, 6) - 1] ?? "h6";
      return (
        <Heading
          key={key}
          id={anchor(token.text)}
          className={classes("scroll-mt-4 font-semibold text-text", HEADING_LOOKS[token.depth - 1])}
        >
          {inline(token.tokens, link)}
        </Heading>
      );
    }
    case "paragraph":
      return (
        <p key={key} className="my-3 leading-[1.6]">
          {inline(token.tokens, link)}
        </p>
      );
    case "text":
      return (
        <Fragment key={key}>
          {"tokens" in token && token.tokens ? inline(token.tokens, link) : plain(token.text)}
        </Fragment>
      );
    case "code":
      return (
        <pre
          key={key}
          tabIndex={0}
          className="mono my-3 overflow-x-auto rounded-m border border-line bg-sunken p-3 text-xs leading-5 text-text"
        >
          <code>{token.text}</code>
        </pre>
      );
    case "list": {
      const list = token as Tokens.List;
      const items = list.items.map((item, index) => (
        <li key={index} className="my-1 leading-[1.6]">
          {item.tokens.map((part, at) => block(part, at, link))}
        </li>
      ));
      return list.ordered ? (
        <ol key={key} className="my-3 list-decimal pl-6">
          {items}
        </ol>
      ) : (
        <ul key={key} className="my-3 list-disc pl-6">
          {items}
        </ul>
      );
    }
    case "blockquote":
      return (
        <blockquote key={key} className="my-3 border-l-2 border-line-strong pl-4 text-text-3">
          {token.tokens?.map((part: Token, at: number) => block(part, at, link))}
        </blockquote>
      );
    case "table": {
      const table = token as Tokens.Table;
      return (
        <section
          key={key}
          tabIndex={0}
          aria-label={table.header[0]?.text ?? ""}
          className="my-4 overflow-x-auto rounded-m border border-line"
        >
          <table className="w-full border-collapse text-left text-xs">
            <thead>
              <tr className="bg-sunken">
                {table.header.map((cell, at) => (
                  <th key={at} className="px-3 py-2 font-medium text-text-3">
                    {inline(cell.tokens, link)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {table.rows.map((row, at) => (
                <tr key={at} className="border-t border-line align-top">
                  {row.map((cell, column) => (
                    <td key={column} className="px-3 py-2 leading-5">
                      {inline(cell.tokens, link)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      );
    }
    case "hr":
      return <hr key={key} className="my-6 h-px border-0 bg-line" />;
    case "space":
      return null;
    default:
      return (
        <p key={key} className="my-3">
          {plain(token.raw)}
        </p>
      );
  }
}

const PLAIN_LINK: LinkFor = (href) => (/^(https?:|mailto:)/i.test(href) ? { href, external: true } : null);

/** Markdown as elements. Nothing is ever interpreted as HTML, so comments of others can be shown. */
export function Markdown({ text, link = PLAIN_LINK }: { text: string; link?: LinkFor }) {
  return (
    <div className="min-w-0 break-words text-sm text-text-2 [&>:first-child]:mt-0 [&>:last-child]:mb-0">
      {lexer(text).map((token, index) => block(token, index, link))}
    </div>
  );
}
