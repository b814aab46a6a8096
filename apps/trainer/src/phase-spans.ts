/** Traces of an attempt without a word about them in the attempt itself: what it reports says where one phase ends and the next begins. */
import type { FromTrainer } from '@rowsmith/contracts';
import { type OpenSpan, openSpan } from '@rowsmith/telemetry';
import type { Channel } from './channel.js';

export interface PhaseSpans extends Channel {
  /** Ends the phase that is open; `error`: what ended it. */
  end(error?: unknown): void;
}

/** Passes every message on. To be made where the attempt's span is active: the phases hang under it. */
export function phaseSpans(channel: Channel): PhaseSpans {
  let open: OpenSpan | null = null;
  const next = (span: OpenSpan | null, error?: unknown) => {
    open?.end(error);
    open = span;
  };
  const follow = (message: FromTrainer): void => {
    switch (message.type) {
      case 'phase':
        next(openSpan(`trainer.${message.phase}`));
        break;
      case 'metric':
        open?.note({ 'rowsmith.step': message.point.step });
        break;
      case 'checkpoint':
        open?.note({ 'rowsmith.checkpoint.step': message.step, 'rowsmith.checkpoint.bytes': message.bytes });
        break;
      case 'failed':
        next(null, message.message);
        break;
      case 'stopped':
      case 'done':
        next(null);
        break;
    }
  };
  return {
    send(message) {
      follow(message);
      return channel.send(message);
    },
    end: (error) => next(null, error),
  };
}
