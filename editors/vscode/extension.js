const { existsSync } = require('node:fs');
const { join } = require('node:path');
const vscode = require('vscode');

/** The command of the settings, else the workspace's own, else the one on the path. */
function adapterCommand(session) {
  const folder = session.workspaceFolder?.uri.fsPath ?? '';
  const configured = vscode.workspace.getConfiguration('hotpatch').get('command');
  const candidates = [
    configured,
    join(folder, 'node_modules/hotpatch-lab/bin/hotpatch.js'),
    join(folder, 'bin/hotpatch.js'),
  ];
  const script = candidates.find((path) => path?.endsWith('.js') && existsSync(path));
  if (script !== undefined)
    return new vscode.DebugAdapterExecutable(process.execPath, [script, 'dap'], {
      env: { ELECTRON_RUN_AS_NODE: '1' },
    });
  return new vscode.DebugAdapterExecutable(configured || 'hotpatch', ['dap']);
}

async function apply() {
  const session = vscode.debug.activeDebugSession;
  if (session?.type !== 'hotpatch') return;
  const [file] =
    (await vscode.window.showOpenDialog({
      title: 'Hotpatch image',
      filters: { Images: ['dll', 'sys', 'exe'] },
    })) ?? [];
  if (file !== undefined) await session.customRequest('hotpatch/apply', { path: file.fsPath });
}

async function revert() {
  const session = vscode.debug.activeDebugSession;
  if (session?.type === 'hotpatch') await session.customRequest('hotpatch/revert', {});
}

async function call() {
  const session = vscode.debug.activeDebugSession;
  if (session?.type !== 'hotpatch') return;
  const text = await vscode.window.showInputBox({ title: 'Call', prompt: 'FUNCTION ARGUMENTS' });
  if (text !== undefined) await session.customRequest('hotpatch/call', { call: text });
}

exports.activate = (context) => {
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory('hotpatch', {
      createDebugAdapterDescriptor: adapterCommand,
    }),
    vscode.commands.registerCommand('hotpatch.apply', apply),
    vscode.commands.registerCommand('hotpatch.revert', revert),
    vscode.commands.registerCommand('hotpatch.call', call),
  );
};
