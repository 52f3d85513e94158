/** The documents' grammar: what is taken, and what is refused with its line. */
import { describe, expect, it } from 'vitest';
import { socketAddresses } from '../../../src/dbus/bus/address.ts';
import { interfaceInfo } from '../../../src/dbus/introspection.ts';
import { parseIntrospection } from '../../../src/dbus/bus/xml.ts';

const DOCUMENT = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
  <!-- words -->
  <interface name="a.b.C">
    <!-- of
         several lines -->
    <method name="Do">
      <arg name="x" type="a{sv}" direction="in"/>
      <arg name="y" type="(so)"/>
      <arg name="z" type="h" direction="out"/>
      <annotation name="org.example.Note" value="&lt;a &amp; &quot;b&quot;&gt;"/>
    </method>
    <method name="Nothing"/>
    <signal name="Done"><arg name="result" type="u"/></signal>
    <property name="P" type="as" access="read">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
    </property>
    <property name="Q" type="t" access="readwrite"/>
  </interface>
</node>
`;

describe('introspection documents', () => {
  it('are read with all that they say', () => {
    const [info, ...more] = parseIntrospection(DOCUMENT);
    expect(more).toEqual([]);
    expect(info?.methods.get('Do')).toMatchObject({ inSignature: 'a{sv}(so)', outSignature: 'h' });
    expect(info?.methods.get('Do')?.annotations.get('org.example.Note')).toBe('<a & "b">');
    expect(info?.methods.get('Nothing')).toMatchObject({ inSignature: '', outSignature: '' });
    expect(info?.signals.get('Done')?.signature).toBe('u');
    expect([...(info?.properties.values() ?? [])]).toEqual([
      { name: 'P', type: 'as', access: 'read', announcement: 'const' },
      { name: 'Q', type: 't', access: 'readwrite', announcement: 'true' },
    ]);
    expect(info?.text).toMatch(/^<interface name="a\.b\.C">[^]*<\/interface>$/);
    expect(info?.text).not.toContain('words');
  });

  it.each([
    ['an unknown element', '<node><thing/></node>', 'line 1: <thing> has no place in <node>'],
    ['an element in the wrong place', '<node>\n<method name="x"/></node>', '<method> has no place'],
    ['an unknown attribute', '<node xmlns:doc="x"></node>', 'no attribute xmlns:doc'],
    ['a missing attribute', '<node><interface/></node>', '<interface> lacks name'],
    ['an unquoted attribute', '<node><interface name=a/></node>', 'no element here'],
    ['text', '<node>text</node>', 'no element here'],
    ['an open element', '<node>\n<interface name="a">', 'ends too early'],
    ['a wrong end', '<node></interface>', '</interface> closes nothing'],
    ['two roots', '<node></node><node></node>', 'more than one root'],
    ['nothing', '', 'ends too early'],
    [
      'a bad type',
      '<node><interface name="a"><signal name="s"><arg name="x" type="z"/></signal></interface></node>',
      'z',
    ],
    [
      'two types in one',
      '<node><interface name="a"><property name="p" type="ss" access="read"/></interface></node>',
      'one complete type',
    ],
    [
      'a bad access',
      '<node><interface name="a"><property name="p" type="s" access="x"/></interface></node>',
      'access of p',
    ],
    ['a member twice', '<node><interface name="a"><method name="m"/><method name="m"/></interface></node>', 'twice'],
  ])('are refused for %s', (_what, document, reason) => {
    expect(() => parseIntrospection(document)).toThrow(reason);
  });

  it('are there for our interfaces and the standard ones alone', () => {
    expect(interfaceInfo('org.freedesktop.DBus.Properties').methods.has('GetAll')).toBe(true);
    expect(() => interfaceInfo('org.example.Other')).toThrow('no interface org.example.Other');
    expect(() => interfaceInfo('org.moored.Engine1.Other')).toThrow('cannot be read');
  });
});

describe('addresses of a bus', () => {
  it.each([
    ['unix:path=/run/dbus/system_bus_socket', ['/run/dbus/system_bus_socket']],
    ['unix:path=/a%20b%c3%a4,guid=12', ['/a bä']],
    ['unix:abstract=/tmp/x', ['\0/tmp/x']],
    ['tcp:host=x,port=1;unix:path=/a;unix:abstract=b', ['/a', '\0b']],
  ])('%s', (address, sockets) => {
    expect(socketAddresses(address)).toEqual(sockets);
  });

  it.each(['', 'tcp:host=x', 'unix:', 'unix:path=', 'nonsense'])('"%s" is refused', (address) => {
    expect(() => socketAddresses(address)).toThrow('has no unix:path=');
  });
});
