/**
 * What Attune wants from the system beside packages: a Vulkan driver to compute with, and a browser for the tests in
 * a page. Found by files, installed by apt where we may, else named with the one command that gets it. Plain
 * JavaScript without packages.
 */
import { join } from 'node:path'
import { attempt, readStamp, thisMachine, writeStamp } from './machine.mjs'

/** A failed installation by apt is not tried again for a day: without a network it would cost every start. */
const retryAfter = 24 * 3600 * 1000

/** @returns {{ id: string, like: string[], codename: string }} of /etc/os-release; empty elsewhere */
export function osRelease(machine = thisMachine()) {
  const text = machine.readText('/etc/os-release') ?? ''
  const value = key => new RegExp(`^${key}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1] ?? ''
  return {
    id: value('ID'),
    like: value('ID_LIKE').split(' ').filter(Boolean),
    codename: value('VERSION_CODENAME'),
  }
}

const icdFolders = [
  '/usr/share/vulkan/icd.d',
  '/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
]
const loaderFolders = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
]

/** Whether a Vulkan loader and a driver whose library exists are installed. macOS and Windows need neither. */
export function hasVulkanDriver(machine = thisMachine()) {
  if (machine.platform !== 'linux') return true
  if (machine.env.VK_ICD_FILENAMES || machine.env.VK_DRIVER_FILES) return true
  if (!loaderFolders.some(folder => machine.exists(`${folder}/libvulkan.so.1`))) return false
  return icdFolders.some(folder =>
    machine.list(folder).some(file => {
      if (!file.endsWith('.json')) return false
      const library = attempt(() => JSON.parse(machine.readText(`${folder}/${file}`)).ICD.library_path)
      if (typeof library !== 'string') return false
      // A bare name is found by the system's own search; a path may be left over from a removed driver.
      return !library.startsWith('/') || machine.exists(library)
    }),
  )
}

/** Whether apt is the way to install, and under which names. */
function aptSystem(machine) {
  const release = osRelease(machine)
  const isDebian =
    release.id === 'debian' ||
    release.id === 'ubuntu' ||
    release.like.some(id => id === 'debian' || id === 'ubuntu')
  return isDebian && machine.exists('/usr/bin/apt-get') ? release : undefined
}

const vulkanPackages = ['mesa-vulkan-drivers', 'libvulkan1']

/** The one command that gets a Vulkan driver on this system, or undefined when there is nothing to get. */
export function vulkanDriverCommand(machine = thisMachine()) {
  if (hasVulkanDriver(machine)) return undefined
  const sudo = machine.uid === 0 ? '' : 'sudo '
  if (aptSystem(machine)) return `${sudo}apt-get install -y ${vulkanPackages.join(' ')}`
  const { id, like } = osRelease(machine)
  if (id === 'fedora' || like.includes('fedora'))
    return `${sudo}dnf install -y mesa-vulkan-drivers vulkan-loader`
  if (id === 'arch' || like.includes('arch')) return `${sudo}pacman -S vulkan-swrast vulkan-icd-loader`
  if (id === 'alpine') return `${sudo}apk add mesa-vulkan-swrast vulkan-loader`
  return 'install a Vulkan driver (Mesa has a software one called lavapipe)'
}

/**
 * The distribution's own entry with the backports suite: Debian 12's Mesa is too old for some features, and the
 * backport comes from the same place.
 * @param {string} text a .sources file (deb822) or a sources.list
 * @returns {string | undefined} the text of a second file
 */
export function backportsSource(text, codename) {
  for (const stanza of text.split(/\n\s*\n/)) {
    const suites = /^Suites:(.*)$/m.exec(stanza)?.[1]?.trim().split(/\s+/)
    if (!suites?.includes(codename) || !/^Types:(.*\s)?deb(\s|$)/m.test(stanza)) continue
    return `${stanza.trim().replace(/^Suites:.*$/m, `Suites: ${codename}-backports`)}\n`
  }
  const line = text.split('\n').find(entry => new RegExp(`^deb\\s.*\\s${codename}\\s`).test(`${entry} `))
  return line === undefined
    ? undefined
    : `${line.replace(new RegExp(`\\s${codename}(\\s|$)`), ` ${codename}-backports$1`)}\n`
}

/** Adds Debian 12's backports to apt. @returns whether they are to be used */
function addBackports(machine, codename) {
  if (codename !== 'bookworm') return false
  const folder = '/etc/apt/sources.list.d'
  const files = machine
    .list(folder)
    .filter(file => /\.(sources|list)$/.test(file))
    .map(file => `${folder}/${file}`)
  const texts = ['/etc/apt/sources.list', ...files].map(file => machine.readText(file) ?? '')
  if (texts.some(text => /^[^#\n]*bookworm-backports/m.test(text))) return true
  const source = texts.map(text => backportsSource(text, codename)).find(Boolean)
  if (source === undefined) return false
  const kind = source.startsWith('deb ') ? 'list' : 'sources'
  return attempt(() => (machine.write(`${folder}/attune-backports.${kind}`, source), true)) ?? false
}

async function aptInstall(machine, packages, suite) {
  const env = { ...machine.env, DEBIAN_FRONTEND: 'noninteractive' }
  const target = suite ? ['-t', suite] : []
  const update = await machine.run('apt-get', ['update', '-qq'], { env })
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...target, ...packages]
  // Out-of-date lists may still do, so a failed update is not the end.
  const code = await machine.run('apt-get', install, { env })
  return (
    code === 0 ||
    (suite !== undefined &&
      update === 0 &&
      (await machine.run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
        env,
      })) === 0)
  )
}

/** Gets the Vulkan software driver, or says once how to. Never stops the run: Attune draws without an adapter. */
export async function ensureVulkan(machine) {
  const command = vulkanDriverCommand(machine)
  if (command === undefined) return
  const release = aptSystem(machine)
  if (!release || machine.uid !== 0)
    return hintOnce(machine, 'vulkan', `no Vulkan driver was found; pictures are faster with one: ${command}`)
  if (!mayTry(machine, 'vulkan')) return
  machine.say(`installing a Vulkan software driver (apt-get install ${vulkanPackages.join(' ')})`)
  const suite = addBackports(machine, release.codename) ? `${release.codename}-backports` : undefined
  if (await aptInstall(machine, vulkanPackages, suite)) machine.say('Vulkan software driver installed')
  else {
    writeStamp(machine, { triedVulkan: machine.now() })
    machine.say(`it could not be installed; going on without (later: ${command})`)
  }
}

const browserNames = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
]

/** @returns {string | undefined} the path of a Chromium-like browser */
export function findBrowser(machine = thisMachine()) {
  const { env, platform } = machine
  const home = env.HOME ?? env.USERPROFILE ?? ''
  const candidates = env.ATTUNE_BROWSER ? [env.ATTUNE_BROWSER] : []
  if (platform === 'darwin') {
    for (const name of ['Google Chrome', 'Chromium', 'Microsoft Edge'])
      candidates.push(`/Applications/${name}.app/Contents/MacOS/${name}`)
  } else if (platform === 'win32') {
    for (const base of [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA].filter(Boolean)) {
      candidates.push(
        `${base}\\Google\\Chrome\\Application\\chrome.exe`,
        `${base}\\Microsoft\\Edge\\Application\\msedge.exe`,
      )
    }
  } else {
    for (const folder of (env.PATH ?? '').split(':').filter(Boolean))
      for (const name of browserNames) candidates.push(`${folder}/${name}`)
  }
  const cache =
    platform === 'darwin'
      ? `${home}/Library/Caches/ms-playwright`
      : platform === 'win32'
        ? `${env.LOCALAPPDATA}\\ms-playwright`
        : `${home}/.cache/ms-playwright`
  const layouts = [
    'chrome-linux/chrome',
    'chrome-linux64/chrome',
    'chrome-mac/Chromium.app/Contents/MacOS/Chromium',
    'chrome-win/chrome.exe',
  ]
  for (const folder of machine.list(env.PLAYWRIGHT_BROWSERS_PATH ?? cache)) {
    if (folder.startsWith('chromium-'))
      for (const layout of layouts)
        candidates.push(`${env.PLAYWRIGHT_BROWSERS_PATH ?? cache}/${folder}/${layout}`)
  }
  return candidates.find(path => machine.exists(path))
}

/** Gets a browser for the tests in a page, or says once how to. */
export async function ensureBrowser(machine) {
  if (findBrowser(machine)) return
  const release = aptSystem(machine)
  // Ubuntu's chromium package is a snap, which containers cannot run; Playwright brings its own.
  const byApt = release?.id === 'debian'
  const command = byApt
    ? `${machine.uid === 0 ? '' : 'sudo '}apt-get install -y chromium`
    : 'npx playwright install --with-deps chromium'
  if (!release || machine.uid !== 0)
    return hintOnce(machine, 'browser', `no browser was found; the tests in a page need one: ${command}`)
  if (!mayTry(machine, 'browser')) return
  machine.say(`installing Chromium for the tests in a page (${command})`)
  const playwright = join(machine.root, 'node_modules', 'playwright', 'cli.js')
  const done = byApt
    ? await aptInstall(machine, ['chromium'])
    : (await machine.run(machine.nodePath, [playwright, 'install', '--with-deps', 'chromium'], {
        cwd: machine.root,
        env: machine.env,
      })) === 0
  if (done) machine.say('Chromium installed')
  else {
    writeStamp(machine, { triedBrowser: machine.now() })
    machine.say(`it could not be installed; going on without (later: ${command})`)
  }
}

function hintOnce(machine, name, text) {
  const hinted = readStamp(machine).hinted ?? []
  if (hinted.includes(name)) return
  machine.say(text)
  writeStamp(machine, { hinted: [...hinted, name] })
}

function mayTry(machine, name) {
  const tried = readStamp(machine)[name === 'vulkan' ? 'triedVulkan' : 'triedBrowser']
  return typeof tried !== 'number' || machine.now() - tried > retryAfter
}
