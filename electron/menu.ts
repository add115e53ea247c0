/** Puts the native menu up. */
import { app, Menu } from 'electron'
import { type MenuActions, menuTemplate } from './menu-template.ts'

export function showMenu(actions: MenuActions): void {
  app.setAboutPanelOptions({ applicationName: 'Attune', applicationVersion: app.getVersion() })
  Menu.setApplicationMenu(Menu.buildFromTemplate(menuTemplate(process.platform, app.isPackaged, actions)))
}
