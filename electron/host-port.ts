/**
 * What lies between the desktop shell and the host: what the host may ask of a desktop, and what the shell needs of
 * a host. `host/service` satisfies it without knowing Electron, and tests hand in a host of their own.
 */
import type { HostApi } from '../model/contract/host-api.ts'

/** What only a desktop shell can do. Paths come from the host's own tables, never from a page. */
export interface ShellFunctions {
  readonly shell: 'electron'
  readonly version: string
  readonly folders: ShellFolders
  /** Asks with the system's dialog; undefined when the person cancels. */
  chooseFolder(title: string): Promise<string | undefined>
  /** Shows a file in the system's file manager. */
  reveal(path: string): Promise<void>
  /** Opens a folder in the system's file manager. */
  openFolder(path: string): Promise<void>
  /**
   * Moves files to the system's bin.
   * @throws AttuneError when one of them cannot be moved: nothing is deleted for good instead
   */
  trash(path: string): Promise<void>
}

/** Where things lie on this machine. */
export interface ShellFolders {
  /** Settings, the queue, the gallery's index. */
  readonly data: string
  readonly logs: string
  /** The system's folder of pictures: the host makes its own folder in it. */
  readonly pictures: string
  /** Holds `models/storybook`, the embedded model. */
  readonly assets: string
}

/** A running host. */
export interface HostPort {
  readonly api: HostApi
  /**
   * Answers the addresses of `hostPaths`: `request.url` is `app://attune/host/…`; undefined when it has no such
   * address.
   */
  bytes(request: Request): Promise<Response | undefined>
  /** Takes a picture file from anywhere into the gallery; where it is absent, files cannot be opened. */
  openPicture?(path: string): Promise<number>
  /** Waits for what is being written, then closes every file. Nothing is asked afterwards. */
  close(): Promise<void>
}

export type CreateHost = (shell: ShellFunctions) => Promise<HostPort>
