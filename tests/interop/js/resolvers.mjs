// js-libp2p needs Promise.withResolvers, which Node.js has from version 22 on. Import this file first.
Promise.withResolvers ??= function () {
  const made = {}
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
