import { lookup as dnsLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Where webhooks may go. Default: https on port 443 to public addresses only. */
export interface DestinationPolicy {
  /** Also http, other ports, and addresses inside the network: for receivers beside the service, by the operator's choice. */
  readonly allowPrivate: boolean;
}

export class DestinationError extends Error {
  override readonly name = 'DestinationError';
  readonly code = 'forbidden_destination';
}

/** Throws DestinationError with the reason. Says nothing about names: what they resolve to is checked when a connection is made. */
export function checkUrl(text: string, { allowPrivate }: DestinationPolicy): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url) throw new DestinationError('it is not a URL');
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) throw new DestinationError('it must start with https://');
  if (url.username || url.password) throw new DestinationError('it must not hold a user name or password');
  if (url.hash) throw new DestinationError('it must not have a fragment (#...)');
  if (!allowPrivate && url.port !== '') throw new DestinationError(`port ${url.port} is not allowed; leave it out (443)`);
  // The URL parser has turned 2130706433, 0x7f.1 and 127.1 into 127.0.0.1 already.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (ipaddr.isValid(host) && !allowPrivate) checkAddress(host);
  return url;
}

/** Only addresses of the public internet. Throws DestinationError. */
export function checkAddress(address: string): void {
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') throw new DestinationError(`its address ${parsed.toString()} is not public (${parsed.range()})`);
}

/**
 * A resolver that refuses a name as soon as one of its addresses is not public. It is asked for the very connection that carries the request,
 * so a name that changes its address after a check (DNS rebinding) gains nothing.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0);
    try {
      for (const { address } of addresses) checkAddress(address);
    } catch (refusal) {
      return callback(refusal as NodeJS.ErrnoException, '', 0);
    }
    const [first] = addresses;
    if (options.all) return callback(null, addresses);
    if (first) return callback(null, first.address, first.family);
    callback(new DestinationError(`${hostname} has no address`), '', 0);
  });
};
