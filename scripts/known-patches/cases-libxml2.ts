import type { CalledLibrary } from './caller.js';
import type { KnownCase } from './cases.js';

const XML_PARSE_RECOVER = 1;
const XML_PARSE_NOENT = 2;
const XML_PARSE_DTDVALID = 16;

/** Offsets in structures that the headers of libxml2 2.9.14 make public. */
const OFFSETS = {
  8: { contextDict: 440n, nodeNs: 72n },
  4: { contextDict: 296n, nodeNs: 36n },
} as const;

const parse = (x: CalledLibrary, text: string, options = 0) =>
  x.call('xmlReadMemory', x.put(text), text.length, 0, 0, options);

function dump(x: CalledLibrary, doc: bigint): string {
  if (doc === 0n) return 'no document';
  const [text, size] = [x.space(16), x.space(16)];
  x.call('xmlDocDumpMemory', doc, text, size);
  return x
    .text(x.pointer(text))
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

const root = (x: CalledLibrary, doc: bigint) => x.call('xmlDocGetRootElement', doc);

function schema(x: CalledLibrary, body: string): string {
  const text = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">${body}</xs:schema>`;
  const context = x.call('xmlSchemaNewMemParserCtxt', x.put(text), text.length);
  return x.call('xmlSchemaParse', context) === 0n ? 'no schema' : 'a schema';
}

/** A parser context whose first document ends in the middle of an element that declares a prefix. */
function staleContext(x: CalledLibrary): bigint {
  const context = x.call('xmlNewParserCtxt');
  const broken = '<a xmlns:p="urn:x"><b><';
  x.call('xmlCtxtReadMemory', context, x.put(broken), broken.length, 0, 0, 0);
  return context;
}

function prefixOf(x: CalledLibrary, context: bigint): string {
  const text = '<p:e/>';
  const doc = x.call('xmlCtxtReadMemory', context, x.put(text), text.length, 0, 0, XML_PARSE_RECOVER);
  if (doc === 0n) return 'no document';
  return x.pointer(root(x, doc) + OFFSETS[x.pointerSize].nodeNs) === 0n
    ? 'p is not declared'
    : 'p is declared';
}

/** What xmlParserCtxt.nsNr says. */
function declared(x: CalledLibrary, context: bigint): number {
  return Buffer.from(x.read(context + (x.pointerSize === 8 ? 492n : 328n), 4)).readInt32LE();
}

function matches(x: CalledLibrary, expression: string, text: string): string {
  const pattern = x.call('xmlPatterncompile', expression, 0, 0, 0);
  if (pattern === 0n) return 'no pattern';
  return `matches: ${x.int('xmlPatternMatch', pattern, root(x, parse(x, text)))}`;
}

function validate(x: CalledLibrary, prefix: number, name: number): string {
  const element = `${'p'.repeat(prefix)}:${'n'.repeat(name)}`;
  const text = `<!DOCTYPE a [<!ELEMENT a (b)><!ELEMENT b EMPTY>]><a><${element} xmlns:${'p'.repeat(prefix)}="u"/></a>`;
  return `root: ${root(x, parse(x, text, XML_PARSE_DTDVALID | XML_PARSE_RECOVER)) !== 0n}`;
}

function schematron(x: CalledLibrary, rule: string, text: string): string {
  const source = `<schema xmlns="http://purl.oclc.org/dsdl/schematron"><pattern><rule context="a"><assert test="b">${rule}</assert></rule></pattern></schema>`;
  const context = x.call('xmlSchematronNewMemParserCtxt', x.put(source), source.length);
  const parsed = x.call('xmlSchematronParse', context);
  const valid = x.call('xmlSchematronNewValidCtxt', parsed, 1);
  const result = x.int('xmlSchematronValidateDoc', valid, parse(x, text));
  return `valid: ${result}`;
}

export const libxml2: Record<string, KnownCase> = {
  // The content of an entity in a loop was cut in place; short content is a string of the dictionary.
  'CVE-2022-40304-Fix-dict-corruption-caused-by-entity-.patch': {
    crafted: (x) => {
      const context = x.call('xmlNewParserCtxt');
      const dict = x.pointer(context + OFFSETS[x.pointerSize].contextDict);
      const words = ['&a;', '&b;'].map((word) => x.call('xmlDictLookup', dict, word, word.length));
      const text = '<!DOCTYPE r [<!ENTITY a "&b;"><!ENTITY b "&a;">]><r x="&a;">&a;</r>';
      x.call(
        'xmlCtxtReadMemory',
        context,
        x.put(text),
        text.length,
        0,
        0,
        XML_PARSE_NOENT | XML_PARSE_RECOVER,
      );
      return words.map((word) => `"${x.text(word)}"`).join(' ');
    },
    ordinary: (x) =>
      dump(x, parse(x, '<!DOCTYPE r [<!ENTITY a "one"><!ENTITY b "&a;two">]><r>&b;</r>', XML_PARSE_NOENT)),
  },
  // A base type that has no content model.
  'CVE-2023-28484-Fix-null-deref-in-xmlSchemaFixupCompl.patch': {
    crafted: (x) =>
      schema(
        x,
        '<xs:complexType name="plain"><xs:simpleContent><xs:extension base="xs:string"/></xs:simpleContent></xs:complexType>' +
          '<xs:complexType name="more"><xs:complexContent><xs:extension base="plain"><xs:sequence><xs:element name="e" type="xs:string"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>' +
          '<xs:element name="doc" type="more"/>',
      ),
    ordinary: (x) =>
      schema(
        x,
        '<xs:complexType name="plain"><xs:sequence><xs:element name="d" type="xs:string"/></xs:sequence></xs:complexType>' +
          '<xs:complexType name="more"><xs:complexContent><xs:extension base="plain"><xs:sequence><xs:element name="e" type="xs:string"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>' +
          '<xs:element name="doc" type="more"/>',
      ),
  },
  // The key of an empty string was made of the byte behind it.
  'CVE-2023-29469-Hashing-of-empty-dict-strings-isn-t-d.patch': {
    crafted: (x) => {
      const dict = x.call('xmlDictCreate');
      const [a, b] = [x.call('xmlDictLookup', dict, 'abc', 0), x.call('xmlDictLookup', dict, 'xyz', 0)];
      return `one empty string: ${a === b}`;
    },
    ordinary: (x) => {
      const dict = x.call('xmlDictCreate');
      const [a, b] = [x.call('xmlDictLookup', dict, 'abc', 3), x.call('xmlDictLookup', dict, 'abcdef', 3)];
      return `one string: ${a === b} ${x.text(a)}`;
    },
  },
  // Prefixes of an earlier document stayed declared.
  'Reset-nsNr-in-xmlCtxtReset.patch': {
    crafted: (x) => {
      const context = staleContext(x);
      x.call('xmlCtxtReset', context);
      return `declared: ${declared(x, context)}`;
    },
    ordinary: (x) => prefixOf(x, x.call('xmlNewParserCtxt')),
  },
  'Also-reset-nsNr-in-htmlCtxtReset.patch': {
    crafted: (x) => {
      const context = staleContext(x);
      x.call('htmlCtxtReset', context);
      return `declared: ${declared(x, context)}`;
    },
    ordinary: (x) => {
      const context = x.call('xmlNewParserCtxt');
      x.call('htmlCtxtReset', context);
      return `declared: ${declared(x, context)}`;
    },
  },
  // A prefix and a name that fit each, and not together, were put into a buffer of 5000 bytes.
  'CVE-2025-24928-pre1.patch': {
    crafted: (x) => validate(x, 2400, 4900),
    ordinary: (x) => validate(x, 3, 5),
  },
  'CVE-2025-24928.patch': {
    crafted: (x) => validate(x, 2400, 4900),
    ordinary: (x) => validate(x, 3, 5),
  },
  // The child axis was compiled to an operation that looks for a child of what is not there.
  'CVE-2025-27113.patch': {
    crafted: (x) => matches(x, 'child::a', '<a/>'),
    ordinary: (x) => matches(x, 'a', '<a/>'),
  },
  // A node was used whose set had been freed, and a namespace was taken for a node.
  'CVE-2025-49794_CVE-2025-49796.patch': {
    crafted: (x) => schematron(x, 'no <name path="namespace::*"/> here', '<a xmlns:q="u" xmlns:r="v"/>'),
    ordinary: (x) => schematron(x, 'no <name path="."/> here', '<a><c/></a>'),
  },
};
