/** The IPC channel to the worker: messages are parsed on arrival, and known to be handed over before the process ends. */
import { type FromTrainer, parseAs, ToTrainer } from '@rowsmith/contracts';

export interface Channel {
  /** In order. Resolves when the message left this process. */
  send(message: FromTrainer): Promise<void>;
}

/** The part of `process` that is used. */
export interface IpcProcess {
  send?(message: unknown, handle: undefined, options: object, sent: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** `receive` hears every valid message; `refuse` that an invalid one came: the worker is of another version, nothing can be trusted then. */
export function openChannel(ipc: IpcProcess, receive: (message: ToTrainer) => void, refuse: (error: unknown) => void): Channel {
  ipc.on('message', (message) => {
    try {
      receive(parseAs(ToTrainer, message, 'message from the worker'));
    } catch (error) {
      refuse(error);
    }
  });
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        if (!ipc.send) return reject(new Error('there is no IPC channel: the trainer is started by the worker, not by hand'));
        ipc.send(message, undefined, {}, (error) => (error ? reject(error) : resolve()));
      }),
  };
}
