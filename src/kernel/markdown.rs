//! Markdown that people write, and the HTML and text that it becomes.
//!
//! The HTML is safe to insert into any page: it has no scripts, styles, event handlers, forms, images or identifiers, and
//! links lead to `http`, `https`, `mailto` and `tel` only. HTML inside the Markdown is shown as it was typed.

use std::collections::HashSet;
use std::sync::LazyLock;

use html2text::render::TextDecorator;
use linkify::{LinkFinder, LinkKind, Span};
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream};
use serde::{Deserialize, Serialize};

use super::text;

/// Levels of lists, their items and quotations. What is deeper is shown at this level, on a new line: the time that
/// HTML parsers need grows with the square of the depth.
const DEPTH_MAX: usize = 24;

/// Number of table cells; further ones are left out. A short source can describe a table of millions of empty cells.
const CELLS_MAX: usize = 5_000;

/// Levels of emphasis and the like. What is deeper is shown without. For the same reason.
const EMPHASIS_MAX: usize = 24;

/// Width of a line of plain text, in characters, as RFC 5322 recommends.
const WIDTH: usize = 78;

/// Width of a line that nothing fills.
const UNWRAPPED: usize = 1_000_000;

/// Version of the rules by which HTML is made. Raise it with every change that must reach texts that were written before.
const RENDERER: u32 = 2;

/// Markdown and its HTML. The HTML is rendered once, when the text is written, and anew when it is read if the rules have
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Stored")]
pub struct Markdown {
    source: String,
    html: String,
    renderer: u32,
}

/// Markdown as it was stored, by any version.
#[derive(Deserialize)]
struct Stored {
    source: String,
    html: String,
    #[serde(default)]
    renderer: u32,
}

impl From<Stored> for Markdown {
    fn from(Stored { source, html, renderer }: Stored) -> Self {
        if renderer == RENDERER { Self { source, html, renderer } } else { Self::new(source) }
    }
}

impl Markdown {
    /// The Markdown `source`.
    pub fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let html = html(&source);
        Self { source, html, renderer: RENDERER }
    }

    /// Whether anything of `source` is seen when it is rendered. Of link definitions, empty headings and lists, rules, blank
    /// characters and the like nothing is.
    pub fn shows_something(source: &str) -> bool {
        events(source).any(|event| match event {
            Event::Text(text) | Event::Code(text) => !text::is_blank(&text),
            _ => false,
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// As safe HTML.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// As plain text with a line for each paragraph and without decoration, for calendars. Links are listed at the end.
    pub fn unwrapped(&self) -> String {
        let text = html2text::config::with_decorator(Undecorated).link_footnotes(true).no_table_borders();
        // A rule would fill its line.
        let html = html_of_text(&self.source).replace("<hr>", "");
        let text = text.string_from_read(html.as_bytes(), UNWRAPPED);
        text.unwrap_or_else(|_| self.source.clone()).trim_end().to_owned()
    }

    /// As plain text, for emails.
    pub fn plain(&self) -> String {
        let text = html2text::config::plain().link_footnotes(true).no_table_borders();
        let text = text.string_from_read(html_of_text(&self.source).as_bytes(), WIDTH);
        text.unwrap_or_else(|_| self.source.clone()).trim_end().to_owned()
    }
}

/// Markdown (CommonMark, with tables, strikethrough and bare web addresses) as safe HTML.
fn html(source: &str) -> String {
    let mut links = Links::default();
    rendered(source, events(source).flat_map(|event| links.apply(event)))
}

/// The HTML that plain text is made of. Links that show their own address are not marked, or it would be listed a second time.
fn html_of_text(source: &str) -> String {
    let mut in_autolink = false;
    rendered(
        source,
        events(source).filter(|event| match event {
            Event::Start(Tag::Link { link_type: LinkType::Autolink | LinkType::Email, .. }) => {
                in_autolink = true;
                false
            }
            // Links are not nested.
            Event::End(TagEnd::Link) => !std::mem::take(&mut in_autolink),
            _ => true,
        }),
    )
}

fn rendered<'a>(source: &str, events: impl Iterator<Item = Event<'a>>) -> String {
    let mut html = String::with_capacity(source.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, events);
    CLEANER.clean(&html).to_string()
}

/// What is rendered of Markdown, within bounds.
fn events(source: &str) -> impl Iterator<Item = Event<'_>> {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    let mut bounds = Bounds::default();
    // The parser cuts texts in pieces, addresses among them.
    TextMergeStream::new(Parser::new_ext(source, options).filter_map(move |event| bounds.apply(event)))
}

/// Makes links of bare web addresses, outside of links and blocks of code.
#[derive(Default)]
struct Links {
    inside: usize,
}

impl Links {
    fn apply<'a>(&mut self, event: Event<'a>) -> Vec<Event<'a>> {
        match &event {
            Event::Start(Tag::Link { .. } | Tag::CodeBlock(_)) => self.inside += 1,
            Event::End(TagEnd::Link | TagEnd::CodeBlock) => self.inside -= 1,
            Event::Text(text) if self.inside == 0 && text.contains("://") => {
                return ADDRESSES.spans(text).flat_map(|span| linked(&span)).collect();
            }
            _ => {}
        }
        vec![event]
    }
}

fn linked(span: &Span<'_>) -> Vec<Event<'static>> {
    let (text, begin) = (CowStr::from(span.as_str().to_owned()), span.as_str().to_ascii_lowercase());
    let is_of_web = begin.starts_with("https://") || begin.starts_with("http://");
    if span.kind().is_none() || !is_of_web {
        return vec![Event::Text(text)];
    }
    let (dest_url, nothing) = (text.clone(), CowStr::Borrowed(""));
    let link = Tag::Link { link_type: LinkType::Autolink, dest_url, title: nothing.clone(), id: nothing };
    vec![Event::Start(link), Event::Text(text), Event::End(TagEnd::Link)]
}

static ADDRESSES: LazyLock<LinkFinder> = LazyLock::new(|| {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    finder
});

/// Marks lists only.
#[derive(Clone)]
struct Undecorated;

impl TextDecorator for Undecorated {
    type Annotation = ();

    fn decorate_link_start(&mut self, _: &str) -> (String, ()) {
        Default::default()
    }

    fn decorate_link_end(&mut self) -> String {
        String::new()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }

    fn header_prefix(&self, _: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        String::new()
    }

    fn unordered_item_prefix(&self) -> String {
        "- ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        Self
    }
}

/// What is left out while a text is rendered.
#[derive(Default)]
struct Bounds {
    depth: usize,
    emphasis: usize,
    cells: usize,
    in_surplus_cell: bool,
}

impl Bounds {
    fn apply<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        match event {
            // The description of an image is shown in its place.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => return None,
            Event::Start(Tag::TableCell) => {
                self.cells += 1;
                self.in_surplus_cell = self.cells > CELLS_MAX;
            }
            Event::End(TagEnd::TableCell) if self.in_surplus_cell => {
                self.in_surplus_cell = false;
                return None;
            }
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough) => {
                self.emphasis += 1;
                if self.emphasis > EMPHASIS_MAX {
                    return None;
                }
            }
            Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough) => {
                self.emphasis -= 1;
                if self.emphasis >= EMPHASIS_MAX {
                    return None;
                }
            }
            Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item) => {
                self.depth += 1;
                let is_item = matches!(event, Event::Start(Tag::Item));
                return if self.depth <= DEPTH_MAX {
                    Some(event)
                } else {
                    is_item.then_some(Event::HardBreak)
                };
            }
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item) => {
                self.depth -= 1;
                return (self.depth < DEPTH_MAX).then_some(event);
            }
            _ => {}
        }
        if self.in_surplus_cell || self.cells > CELLS_MAX && is_of_table_row(&event) {
            return None;
        }
        Some(match event {
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Html(typed) | Event::InlineHtml(typed) => Event::Text(typed),
            other => other,
        })
    }
}

fn is_of_table_row(event: &Event) -> bool {
    matches!(event, Event::Start(Tag::TableRow) | Event::End(TagEnd::TableRow))
}

static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = ammonia::Builder::empty();
    cleaner
        .generic_attributes(HashSet::new())
        .tags(HashSet::from([
            "a",
            "blockquote",
            "br",
            "code",
            "del",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "li",
            "ol",
            "p",
            "pre",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .tag_attributes([("a", HashSet::from(["href"])), ("ol", HashSet::from(["start"]))].into())
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    cleaner
});

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn rendered(source: &str) -> String {
        html(source).replace('\n', "")
    }

    #[test]
    fn markdown_becomes_html() {
        for (source, expected) in [
            ("Hello **you**, _now_", "<p>Hello <strong>you</strong>, <em>now</em></p>"),
            ("# Day 1\n\n1. a\n2. b", "<h1>Day 1</h1><ol><li>a</li><li>b</li></ol>"),
            ("3. c", "<ol start=\"3\"><li>c</li></ol>"),
            ("~~old~~ `x < y`", "<p><del>old</del> <code>x &lt; y</code></p>"),
            (
                "[map](https://maps.example.org/?a=1&b=2)",
                "<p><a href=\"https://maps.example.org/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">map</a></p>",
            ),
            (
                "|a|b|\n|-|-|\n|1|2|",
                "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
            ),
            ("1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>"),
            ("![Map of *campus*](https://a.example/map.png)", "<p>Map of <em>campus</em></p>"),
        ] {
            assert_eq!(rendered(source), expected);
        }
    }

    #[test]
    fn a_bare_address_is_a_link() {
        let link = |address: &str| {
            let address = address.replace('&', "&amp;");
            format!("<a href=\"{address}\" rel=\"noopener noreferrer nofollow\">{address}</a>")
        };
        for address in ["https://a.example/?a=1&b=2", "http://a.example/x_y_z", "https://a.example/(x)"] {
            assert_eq!(rendered(&format!("See {address}.")), format!("<p>See {}.</p>", link(address)));
        }
        let text = Markdown::new("See https://a.example/ or <https://b.example>, or [c](https://c.example).");
        assert_eq!(
            text.unwrapped(),
            "See https://a.example/ or https://b.example, or c[1].\n\n[1]: https://c.example"
        );
        for source in [
            "`https://a.example`",
            "    https://a.example",
            "ftp://a.example",
            "javascript://a.example/%0aalert(1)",
            "a.example",
        ] {
            assert!(!html(source).contains("<a"), "{source}: {}", html(source));
        }
        assert_eq!(html("[https://a.example](https://b.example)").matches("<a").count(), 1);
    }

    #[test]
    fn nothing_that_runs_loads_or_misleads_is_left() {
        for source in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<svg><style><!--</style><img src=x onerror=alert(1)>-->",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](&#106;avascript:alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](vbscript:x) <javascript:alert(1)>",
            "[x](/v1/session) [y](//evil.example)",
            "![x](https://evil.example/pixel.png)",
            "[x](https://a.example \"\\\" onclick=alert(1)\")",
            "```<script>\nalert(1)\n```",
            "<a href=\"https://a.example\" onclick=\"alert(1)\" style=\"x\" id=\"y\">z</a>",
        ] {
            let html = html(source);
            for bad in [
                "<script", "<img", "<svg", "<style", "<iframe", "href=\"j", "href=\"d", "href=\"v",
                "href=\"/",
            ] {
                assert!(!html.to_lowercase().contains(bad), "{source}: {html}");
            }
            // An attribute begins inside a tag; what was typed is text.
            let tags = html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
            assert!(!tags.into_iter().any(|tag| tag.contains("on") && tag.contains("alert")), "{html}");
        }
    }

    #[test]
    fn markdown_without_anything_to_see_is_recognised() {
        for source in [
            "[x]: y",
            "[x]: https://a.example \"title\"",
            "&nbsp;",
            "&#8203; &ZeroWidthSpace;",
            "---",
            "#",
            "- \n- ",
            ">",
            "![](https://a.example/pixel.png)",
            "[](https://a.example)",
            "| | |\n|-|-|\n| | |",
            "` `",
            "\\\n&nbsp;",
        ] {
            assert!(!Markdown::shows_something(source), "{source}: {}", html(source));
        }
        for source in
            ["x", "`x`", "<!-- x -->", "<b></b>", "![x](y)", "- x", "~", "🎉", "[x]: y\n\n[x]", "    x"]
        {
            assert!(Markdown::shows_something(source), "{source}: {}", html(source));
        }
    }

    #[test]
    fn html_is_shown_as_it_was_typed() {
        assert_eq!(rendered("<b>x</b>"), "<p>&lt;b&gt;x&lt;/b&gt;</p>");
        assert_eq!(rendered("<div>\nx\n</div>"), "<p>&lt;div&gt;x&lt;/div&gt;</p>");
    }

    #[test]
    fn the_time_and_the_size_are_bounded() {
        let mut nested_lists = String::new();
        for depth in 0..100 {
            writeln!(nested_lists, "{}- x", "  ".repeat(depth)).unwrap();
        }
        let columns = "|a".repeat(2_000);
        let wide_table = format!("{columns}|\n{}|\n{}", "|-".repeat(2_000), "|x\n".repeat(5_000));
        for (name, source) in [
            ("brackets", "[".repeat(100_000)),
            ("closed brackets", format!("{}{}", "[".repeat(50_000), "](".repeat(25_000))),
            ("images", "![".repeat(50_000)),
            ("nested lists", nested_lists),
            ("deep lists", "- ".repeat(50_000)),
            ("quotations", ">".repeat(100_000)),
            ("emphasis", "*a_".repeat(33_000)),
            ("strong", format!("{}a{}", "**a ".repeat(20_000), " a**".repeat(20_000))),
            ("nested emphasis", format!("{}a{}", "*a **a ".repeat(10_000), " a** a*".repeat(10_000))),
            ("code", "`".repeat(100_000)),
            ("backticks", (1..400).map(|n| "`".repeat(n) + " ").collect()),
            ("a wide table", wide_table),
            ("a long table", format!("|a|b|\n|-|-|\n{}", "|x|y|\n".repeat(15_000))),
            ("references", format!("[a]: {}\n\n{}", "x".repeat(1_000), "[a]".repeat(30_000))),
            ("angle brackets", "<".repeat(100_000)),
            ("tags", "<a ".repeat(33_000)),
            ("entities", "&#x41;".repeat(16_000)),
            ("headings", "# a\n".repeat(25_000)),
            ("addresses", "http://a ".repeat(11_000)),
            ("an address", format!("http://{}", "a/(".repeat(33_000))),
            ("schemes", "http://".repeat(14_000)),
        ] {
            let begun = Instant::now();
            let text = Markdown::new(source.as_str());
            let (html, plain) = (text.html.len(), text.plain().len() + text.unwrapped().len());
            assert!(html + plain < 30 * source.len(), "{name}: {html}, {plain}");
            // Seconds in an unoptimised build beside other tests; a quadratic step takes minutes.
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        }
    }

    #[test]
    fn emphasis_is_bounded() {
        let html = html(&format!("{}a{}", "**a ".repeat(5_000), " a**".repeat(5_000)));
        assert!(html.matches("<strong>").count() <= EMPHASIS_MAX, "{}", html.len());
        assert_eq!(html.matches("<strong>").count(), html.matches("</strong>").count());
    }

    #[test]
    fn html_of_other_rules_is_rendered_anew() {
        let read = |stored: serde_json::Value| serde_json::from_value::<Markdown>(stored).unwrap();
        let current = Markdown::new("*a*");
        assert_eq!(read(serde_json::to_value(&current).unwrap()), current);
        let older = serde_json::json!({ "source": "*a*", "html": "<script>" });
        assert_eq!(read(older), current);
    }

    #[test]
    fn unwrapped_text_has_a_line_for_each_paragraph() {
        let text = format!(
            "# Day\n\nBring **water**, `a` and the [map](https://maps.example.org). {}\n\n- one\n- two\n\n---\n\n> b\n\n|a|b|\n|-|-|\n|1|2|",
            "Long. ".repeat(30)
        );
        insta::assert_snapshot!(Markdown::new(text).unwrapped());
    }

    #[test]
    fn plain_text_is_readable() {
        let text = "# Welcome\n\nBring **water** and see the [map](https://maps.example.org).\n\n- one\n- two\n\n|a|b|\n|-|-|\n|1|2|";
        insta::assert_snapshot!(Markdown::new(text).plain());
    }
}
