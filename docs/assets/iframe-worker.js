// Search works without a server too. Browsers start no worker from a file, so the worker's script runs in a frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      const inner = this.frame.contentDocument
      inner.open()
      inner.write("<!doctype html><body></body>")
      inner.close()
      const view = this.frame.contentWindow
      view.postMessage = (data) => {
        const event = new MessageEvent("message", { data })
        this.dispatchEvent(event)
        this.onmessage?.(event)
      }
      const load = (source) =>
        new Promise((resolve, reject) => {
          const script = inner.createElement("script")
          Object.assign(script, { src: source, onload: resolve, onerror: reject })
          inner.body.append(script)
        })
      view.importScripts = (...sources) => sources.reduce((before, s) => before.then(() => load(s)), Promise.resolve())
      this.ready = load(url)
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
