/**
 * HTTP/1.1 over kept connections, one request at a time on each: the driver shares the cores with what it measures, and `node:http` takes as much of them for a
 * request as a good server does. Understands what our API sends to plain requests: a status line, headers with a length, a body.
 */
import { connect } from 'node:net';

const endOfHead = Buffer.from('\r\n\r\n');

class Connection {
  #socket;
  #done = null;
  #parts = [];
  #have = 0;
  #need = -1;
  #status = 0;
  #bodyAt = 0;
  #closes = false;

  constructor({ hostname, port }, onGone) {
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => {
      this.#fail('the connection was closed');
      onGone(this);
    });
  }

  /** @param done called once: (why it failed | null, status, body, whether the connection may be used again) */
  ask(head, payload, done) {
    this.#done = done;
    this.#parts = [];
    this.#have = 0;
    this.#need = -1;
    if (payload === undefined) this.#socket.write(head, 'latin1');
    else {
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(payload);
      this.#socket.uncork();
    }
  }

  destroy() {
    this.#socket.destroy();
  }

  #fail(why) {
    const done = this.#done;
    this.#done = null;
    done?.(why, 0, null, false);
    this.#socket.destroy();
  }

  #take(chunk) {
    this.#parts.push(chunk);
    this.#have += chunk.length;
    if (this.#need < 0) {
      const all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
      this.#parts = [all];
      const end = all.indexOf(endOfHead);
      if (end < 0) return;
      const head = all.latin1Slice(0, end).toLowerCase();
      this.#status = Number(head.slice(9, 12));
      const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
      if (length === undefined && this.#status !== 304) return this.#fail(`an answer ${this.#status} without a length`);
      this.#closes = head.includes('\r\nconnection: close');
      this.#bodyAt = end + 4;
      this.#need = this.#bodyAt + Number(length ?? 0);
    }
    if (this.#have < this.#need) return;
    const all = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    const done = this.#done;
    this.#done = null;
    if (this.#closes) this.#socket.destroy();
    done?.(null, this.#status, all.subarray(this.#bodyAt, this.#need), !this.#closes);
  }
}

export class RawClient {
  #target;
  #common;
  #most;
  #all = new Set();
  #idle = [];
  #queue = [];
  #next = 0;

  /** @param {{url: string, key: string, connections: number}} to */
  constructor({ url, key, connections }) {
    this.#target = new URL(url);
    this.#common = `host: ${this.#target.host}\r\nauthorization: Bearer ${key}\r\n`;
    this.#most = connections;
  }

  /** `done(why | null, status, body)`. Waits for a free connection, in order. */
  ask({ method = 'GET', path, payload }, done) {
    const extra = payload === undefined ? '' : `content-type: application/json\r\ncontent-length: ${payload.length}\r\n`;
    this.#queue.push({ head: `${method} ${path} HTTP/1.1\r\n${this.#common}${extra}\r\n`, payload, done });
    this.#send();
  }

  close() {
    for (const one of this.#all) one.destroy();
  }

  #send() {
    for (; this.#next < this.#queue.length; ) {
      const connection = this.#idle.pop() ?? this.#open();
      if (connection === null) break;
      const { head, payload, done } = this.#queue[this.#next];
      this.#next += 1;
      connection.ask(head, payload, (why, status, body, again) => {
        if (again) this.#idle.push(connection);
        done(why, status, body);
        this.#send();
      });
    }
    if (this.#next === this.#queue.length || this.#next > 4_096) {
      this.#queue.splice(0, this.#next);
      this.#next = 0;
    }
  }

  #open() {
    if (this.#all.size >= this.#most) return null;
    const fresh = new Connection(this.#target, (gone) => {
      this.#all.delete(gone);
      this.#idle = this.#idle.filter((one) => one !== gone);
    });
    this.#all.add(fresh);
    return fresh;
  }
}
