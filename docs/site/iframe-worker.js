// Search works in a worker, and a browser starts none for a page that it reads from a folder. There a frame does the work.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...urls) => Promise.all(urls.map(one => load(inside, one)));
      const ready = load(inside, url);
      this.postMessage = data => ready.then(() => inside.dispatchEvent(new MessageEvent("message", { data })));
      function load(where, src) {
        return new Promise((resolve, reject) => {
          const script = where.document.createElement("script");
          script.onload = resolve;
          script.onerror = reject;
          script.src = src;
          where.document.head.append(script);
        });
      }
    }
  };
}
