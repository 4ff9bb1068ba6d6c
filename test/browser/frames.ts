/** What a frame of this page is to do. `opaque`: it has an origin of its own, with no storage. */
export type FrameTask = 'opaque' | 'load';

/** Has a frame do something with the same script, and gives what it says in the end. */
export async function inFrame(task: FrameTask, values: Record<string, string> = {}): Promise<string> {
  const frame = document.createElement('iframe');
  if (task === 'opaque') frame.sandbox.add('allow-scripts');
  frame.src = `/frame?${new URLSearchParams({ task, ...values })}`;
  const said = new Promise<string>((resolve) => {
    addEventListener('message', ({ source, data }) => {
      if (source === frame.contentWindow) resolve(String(data));
    });
  });
  document.body.append(frame);
  try {
    return await said;
  } finally {
    frame.remove();
  }
}
