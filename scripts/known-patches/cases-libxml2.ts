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

const SAX1_START_ELEMENT = 14;
const XML_PARSE_SAX1 = 512;

/** An address that is nobody's: a handler of the caller's own that is never called. */
const OWN_HANDLER = 0x1234;

function ownHandler(x: CalledLibrary, options: number): string {
  const context = x.call('xmlNewParserCtxt');
  const handler = x.pointer(context) + BigInt(SAX1_START_ELEMENT * x.pointerSize);
  x.write(handler, Uint8Array.of(OWN_HANDLER & 0xff, OWN_HANDLER >> 8, ...new Uint8Array(x.pointerSize - 2)));
  x.call('xmlCtxtUseOptions', context, options);
  return `own handler: ${x.pointer(handler) === BigInt(OWN_HANDLER)}`;
}

/** A catalog in a file, and what it resolves. */
function catalog(x: CalledLibrary, file: string, text: string, resolve: string, name: string): string {
  x.call('known_write', file, text);
  const loaded = x.call('xmlLoadACatalog', file);
  if (loaded === 0n) return 'no catalog';
  return `resolved: ${x.text(x.call(resolve, loaded, name))}`;
}

const xmlCatalog = (body: string) =>
  `<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">${body}</catalog>`;

/** XInclude, when memory runs out after so many allocations. */
function include(x: CalledLibrary, allocations: readonly number[]): string {
  const text =
    '<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="nothing.xml"><xi:fallback>f</xi:fallback></xi:include></a>';
  x.call('known_memory', -1);
  return allocations
    .map((left) => {
      const doc = parse(x, text);
      x.call('known_memory', left);
      const result = x.int('xmlXIncludeProcess', doc);
      x.call('known_memory', -1);
      return result;
    })
    .join(' ');
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
  // A URI was told of in an error message after it had been freed; that needs memory to run out.
  'CVE-2022-49043.patch': {
    crafted: (x) =>
      include(
        x,
        Array.from({ length: 40 }, (_, i) => i),
      ),
    ordinary: (x) => include(x, [-1]),
  },
  // A caller's own handlers were replaced by those that build a tree.
  'CVE-2023-39615_1.patch': {
    crafted: (x) => ownHandler(x, XML_PARSE_SAX1),
    ordinary: (x) => dump(x, parse(x, '<a><b c="d">e</b></a>', XML_PARSE_NOENT)),
  },
  // With the interface of SAX1, and the fix before, nobody built a tree.
  'CVE-2023-39615_2.patch': {
    crafted: (x) => dump(x, parse(x, '<a><b c="d">e</b></a>', XML_PARSE_SAX1)),
    ordinary: (x) => dump(x, parse(x, '<a><b c="d">e</b></a>')),
  },
  // A catalog that includes itself.
  'CVE-2025-8732.patch': {
    crafted: (x) => {
      const text = 'CATALOG "C:/loop.cat"\nPUBLIC "-//A//B" "b.dtd"\n';
      return catalog(x, 'C:/loop.cat', text, 'xmlACatalogResolvePublic', '-//A//B');
    },
    ordinary: (x) =>
      catalog(x, 'C:/plain.cat', 'PUBLIC "-//A//B" "b.dtd"\n', 'xmlACatalogResolvePublic', '-//A//B'),
  },
  // A catalog that is its own next one.
  'CVE-2026-0990.patch': {
    crafted: (x) => {
      const text = xmlCatalog('<nextCatalog catalog="C:/loop.xml"/>');
      return catalog(x, 'C:/loop.xml', text, 'xmlACatalogResolveURI', 'urn:nobody');
    },
    ordinary: (x) => {
      const text = xmlCatalog('<uri name="urn:a" uri="b.xml"/>');
      return catalog(x, 'C:/plain.xml', text, 'xmlACatalogResolveURI', 'urn:a');
    },
  },
  // A command of the interactive shell longer than its buffer on the stack.
  'CVE-2025-6170.patch': {
    crafted: (x) => {
      x.call('known_shell', parse(x, '<a/>'), 'c'.repeat(0x18000));
      return 'the shell ended';
    },
    ordinary: (x) => {
      x.call('known_shell', parse(x, '<a/>'), 'cd a');
      return 'the shell ended';
    },
  },
};
