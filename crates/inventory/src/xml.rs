//! XML as a tree of elements, read piece by piece: a document of any length is walked, and only what is asked for is held.
//! Names are without their prefixes. No entity is expanded but XML's own five and characters by number, and nothing that a
//! document names is fetched, so that none of the known attacks by entities has anything to hold on to.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::Malformed;
use crate::limits::{XML_ATTRIBUTES_MAX, XML_DEPTH_MAX, XML_ELEMENTS_MAX, XML_TEXT_BYTES_MAX};

/// An element with what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a prefix.
    pub name: String,
    /// Its attributes, without their prefixes.
    pub attributes: Vec<(String, String)>,
    /// The elements in it.
    pub children: Vec<Element>,
    /// The text in it, without that of the elements in it.
    pub text: String,
}

impl Element {
    /// The value of an attribute; empty where there is none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The first element of a name in it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The elements of a name in it.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element at the end of a path of names.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text at the end of a path of names, without space around it; empty where there is none.
    pub fn text_at(&self, path: &[&str]) -> &str {
        self.at(path).map_or("", |element| element.text.trim())
    }
}

/// A document that is being read.
pub struct Document<'a> {
    reader: Reader<&'a [u8]>,
    left: usize,
    /// The element that was opened last has no end of its own.
    is_empty: bool,
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "XML", what }
}

impl<'a> Document<'a> {
    /// A document in UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not in UTF-8"))?;
        Ok(Self { reader: Reader::from_str(text), left: XML_ELEMENTS_MAX, is_empty: false })
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        self.reader.read_event().map_err(|_| malformed("it is not well-formed"))
    }

    /// The next element that is opened, wherever; without what is in it. None at the end of the document.
    pub fn next_open(&mut self) -> Result<Option<Element>, Malformed> {
        loop {
            let event = self.event()?;
            self.is_empty = matches!(event, Event::Empty(_));
            match event {
                Event::Start(start) | Event::Empty(start) => return Ok(Some(opened(&start))),
                Event::Eof => return Ok(None),
                _ => {}
            }
        }
    }

    /// Reads what is in the element that [`Self::next_open`] gave last.
    pub fn fill(&mut self, element: Element) -> Result<Element, Malformed> {
        if std::mem::take(&mut self.is_empty) {
            return Ok(element);
        }
        self.left = XML_ELEMENTS_MAX;
        let mut open = vec![element];
        while let Some(inner) = open.last_mut() {
            match self.event()? {
                Event::Start(start) => {
                    self.room(open.len())?;
                    open.push(opened(&start));
                }
                Event::Empty(start) => {
                    inner.children.push(opened(&start));
                    self.room(open.len())?;
                }
                Event::Text(text) => add(&mut inner.text, &text.xml10_content()),
                Event::CData(text) => add(&mut inner.text, &text.xml10_content()),
                Event::GeneralRef(reference) => add(&mut inner.text, &entity(&reference.xml10_content())),
                Event::End(_) => {
                    let Some(done) = open.pop() else { break };
                    match open.last_mut() {
                        Some(outer) => outer.children.push(done),
                        None => return Ok(done),
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        Err(malformed("it is cut off"))
    }

    fn room(&mut self, depth: usize) -> Result<(), Malformed> {
        self.left = self.left.checked_sub(1).ok_or(malformed("it has too many elements in one"))?;
        if depth >= XML_DEPTH_MAX { Err(malformed("it is nested too deep")) } else { Ok(()) }
    }
}

/// The outermost element with all that is in it.
pub fn parse(bytes: &[u8]) -> Result<Element, Malformed> {
    let mut document = Document::new(bytes)?;
    let root = document.next_open()?.ok_or(malformed("it has no element"))?;
    document.fill(root)
}

fn opened(start: &BytesStart<'_>) -> Element {
    let mut attributes = start.attributes();
    // The same attribute twice is no reason to leave out the element.
    let attributes = attributes.with_checks(false).flatten().take(XML_ATTRIBUTES_MAX).map(|attribute| {
        let mut value = String::new();
        let plain = quick_xml::escape::unescape(&attribute.value);
        add(&mut value, plain.as_deref().unwrap_or(&attribute.value));
        (attribute.key.local_name().into_inner().to_owned(), value)
    });
    Element { name: start.local_name().into_inner().to_owned(), attributes: attributes.collect(), ..Element::default() }
}

/// XML's own entities, and characters by number; any other is left as it stands.
fn entity(name: &str) -> String {
    quick_xml::escape::unescape(&format!("&{name};")).map_or_else(|_| format!("&{name};"), std::borrow::Cow::into_owned)
}

fn add(text: &mut String, more: &str) {
    let mut end = more.len().min(XML_TEXT_BYTES_MAX.saturating_sub(text.len()));
    while !more.is_char_boundary(end) {
        end -= 1;
    }
    text.push_str(&more[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_names_texts_and_references() {
        let root = parse(b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'y'>]><n:a k='1 &amp; 2'><b>x &lt; &#65;<![CDATA[<c>]]></b><b/>&x;</n:a>").unwrap();
        assert_eq!((root.name.as_str(), root.attribute("k"), root.attribute("none")), ("a", "1 & 2", ""));
        assert_eq!((root.text_at(&["b"]), root.all("b").count(), root.text.as_str()), ("x < A<c>", 2, "&x;"));
        assert!(
            parse(b"<a><b></a>").is_err() && parse(b"<a>").is_err() && parse(b"").is_err() && parse(b"\xff").is_err()
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let deep = "<a>".repeat(XML_DEPTH_MAX + 1) + &"</a>".repeat(XML_DEPTH_MAX + 1);
        assert_eq!(parse(deep.as_bytes()).unwrap_err().what, "it is nested too deep");
        let flat = format!("<a>{}</a>", "<b/>".repeat(XML_ELEMENTS_MAX + 1));
        assert_eq!(parse(flat.as_bytes()).unwrap_err().what, "it has too many elements in one");
    }

    #[test]
    fn elements_are_taken_one_by_one() {
        let mut document = Document::new(b"<all><one id='1'><x>1</x></one><two/><one id='2'/></all>").unwrap();
        let mut ids = Vec::new();
        while let Some(element) = document.next_open().unwrap() {
            if element.name == "one" {
                let element = document.fill(element).unwrap();
                ids.push(format!("{}{}", element.attribute("id"), element.text_at(&["x"])));
            }
        }
        assert_eq!(ids, ["11", "2"]);
    }
}
