/**
 * Runs before the page, in a sandbox and in a world of its own: gives it one object with two functions. Neither
 * Electron's `ipcRenderer` nor its events (whose `sender` reaches everything) get out.
 */
import { contextBridge, ipcRenderer } from 'electron'
import { type AttuneBridge, bridgeName, type HostReply } from '../model/contract/bridge.ts'
import { channels } from './channels.ts'

const listeners = new Set<(event: unknown) => void>()

ipcRenderer.on(channels.event, (_event, payload: unknown) => {
  for (const listener of listeners) listener(payload)
})

const bridge: AttuneBridge = {
  call: (method, params) => ipcRenderer.invoke(channels.call, method, params) as Promise<HostReply>,
  subscribe(listener) {
    // An own function each time, so that the same listener may subscribe twice and end one of them.
    const own = (event: unknown) => listener(event)
    listeners.add(own)
    if (listeners.size === 1) void ipcRenderer.invoke(channels.listening)
    return () => {
      listeners.delete(own)
    }
  },
}

contextBridge.exposeInMainWorld(bridgeName, bridge)
