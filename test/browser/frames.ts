/** Task of a frame of this page. `opaque` frames have an opaque origin, without storage. */
export type FrameTask = 'opaque' | 'load';

/** Runs a task in a frame with the same script, and returns its result. */
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
