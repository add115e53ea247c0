/** Names, paths, switches. */
const { app } = require('electron')
const path = require('path')
const { same, thrown } = require('./harness.cjs')

module.exports = async () => {
  same('app: name of package.json', app.getName(), 'attune-contract')
  same('app: version of package.json', app.getVersion(), '3.2.1')
  same('app: not packaged', app.isPackaged, false)
  same('app: folder', path.basename(app.getAppPath()), 'contract')
  same('app: userData lies in appData under the name', app.getPath('userData'), path.join(app.getPath('appData'), 'attune-contract'))
  same('app: unknown path', await thrown(() => app.getPath('nowhere')), "Failed to get 'nowhere' path")
  app.setPath('userData', path.join(app.getPath('temp'), 'elsewhere'))
  same('app: a path that was set', app.getPath('userData'), path.join(app.getPath('temp'), 'elsewhere'))
  app.commandLine.appendSwitch('attune-contract', 'yes')
  same('app: switch that was appended', app.commandLine.hasSwitch('attune-contract'), true)
  same('app: value of a switch', app.commandLine.getSwitchValue('attune-contract'), 'yes')
  same('app: switch that was not', app.commandLine.hasSwitch('attune-other'), false)
  same('app: no sandbox after ready', await thrown(() => app.enableSandbox()), 'app.enableSandbox() can only be called before app is ready')
  same('app: no change of hardware after ready', await thrown(() => app.disableHardwareAcceleration()), 'app.disableHardwareAcceleration() can only be called before app is ready')
  let again = 0
  await app.whenReady().then(() => again++)
  same('app: whenReady answers again', again, 1)
}
