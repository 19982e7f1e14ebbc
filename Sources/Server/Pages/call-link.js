// The connection between the two sides of a call: "perfect negotiation" of the WebRTC specification over signals that may
// be lost, candidates as they are found, and new ones when the connection breaks. And the devices that it is fed from.

const REPEAT_MS = 3_000; // an offer is sent again until it is answered
const LOST_MS = 2_000; // a connection that is back by then needs no new candidates
const GIVE_UP_MS = 30_000; // without a connection
const SDP_CHARACTERS_MAX = 50_000; // a call's has under 10,000; a message may have 64 KiB
const CANDIDATE_CHARACTERS_MAX = 1_000;
const CANDIDATES_MAX = 50; // in one signal

/** Whether it is a description as signals carry it. */
export function isDescription(value) {
  return ['offer', 'answer'].includes(value?.type) && typeof value.sdp === 'string' && value.sdp.length <= SDP_CHARACTERS_MAX;
}

/** Whether it is a list of candidates as signals carry it. */
export function areCandidates(value) {
  return Array.isArray(value) && value.length <= CANDIDATES_MAX && value.every((each) =>
    typeof each?.candidate === 'string' && each.candidate.length <= CANDIDATE_CHARACTERS_MAX);
}

/** Asks for what is wanted of camera and microphone: `{tracks, lack}`, where `lack` says why some of it is missing. */
export async function capture(wants) {
  if (!wants.audio && !wants.video) return { tracks: {} };
  if (!navigator.mediaDevices) return { tracks: {}, lack: 'Camera and microphone need https or localhost.' };
  let lack;
  for (const constraints of [wants, { audio: wants.audio }, { video: wants.video }]) {
    if (!constraints.audio && !constraints.video) continue;
    try {
      const tracks = (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
      return { tracks: Object.fromEntries(tracks.map((track) => [track.kind, track])), lack };
    } catch (error) {
      lack ??= error.name === 'NotAllowedError' ? 'Your browser does not allow camera and microphone: allow them beside the address of this page.'
        : 'Not all of camera and microphone can be used: connect them, close other programs that use them, and call again.';
    }
  }
  return { tracks: {}, lack };
}

/** Lets go of the devices of a call. */
export function release({ tracks }) {
  for (const track of Object.values(tracks)) track.stop();
}

export class Link {
  #pc;
  #options;
  #tracks = {};
  #isOffering = false;
  #ignoresOffer = false;
  #isClosed = false;
  #work = Promise.resolve(); // descriptions and candidates are applied in order
  #repeatTimer;
  #lostTimer;
  #giveUpTimer;

  /**
   * @param {Object} options
   * @param {RTCIceServer[]} options.servers STUN and TURN servers
   * @param {function(): Promise<RTCIceServer[]>} options.renew fetches them again, since passwords expire
   * @param {boolean} options.isCaller the caller makes the first offer
   * @param {boolean} options.isPolite whether its own offer yields when two cross
   * @param {{audio?: MediaStreamTrack, video?: MediaStreamTrack}} options.tracks what to send
   * @param {function(Object)} options.send sends a signal: `{kind: 'description', description}` or `{kind: 'candidates', candidates}`
   * @param {function(string)} options.onState `connected`, `lost`, `failed` (given up), `ended` (by the other side)
   * @param {function(MediaStream)} options.onStream
   * @param {function(RTCDataChannel)} options.onChannel when text and files can be sent
   */
  constructor(options) {
    this.#options = options;
    this.#tracks = { ...options.tracks };
    const pc = this.#pc = new RTCPeerConnection({ iceServers: options.servers });
    const remote = new MediaStream();
    pc.ontrack = ({ track }) => {
      remote.addTrack(track);
      options.onStream(remote);
    };
    pc.onicecandidate = ({ candidate }) => {
      if (candidate) options.send({ kind: 'candidates', candidates: [candidate.toJSON()] });
    };
    pc.onconnectionstatechange = () => this.#changed();
    pc.onnegotiationneeded = () => this.#offer();
    pc.ondatachannel = ({ channel }) => this.#adopt(channel);
    if (options.isCaller) {
      // Both kinds, always: muting and turning the camera on need no new offer then.
      for (const kind of ['audio', 'video']) pc.addTransceiver(this.#tracks[kind] ?? kind, { direction: 'sendrecv' });
      this.#adopt(pc.createDataChannel('talk'));
    }
    this.#repeatTimer = setInterval(() => this.#repeat(), REPEAT_MS);
    this.#giveUpTimer = setTimeout(() => this.#end('failed'), GIVE_UP_MS);
  }

  /** Takes a description of the other side. */
  describe(description) {
    this.#do(async (pc) => {
      const isOffer = description.type === 'offer';
      const crosses = isOffer && (this.#isOffering || pc.signalingState !== 'stable');
      this.#ignoresOffer = !this.#options.isPolite && crosses;
      if (this.#ignoresOffer || (!isOffer && pc.signalingState !== 'have-local-offer')) return;
      await pc.setRemoteDescription(description); // rolls an own offer back
      if (!isOffer) return;
      for (const transceiver of pc.getTransceivers()) {
        transceiver.direction = 'sendrecv';
        await transceiver.sender.replaceTrack(this.#tracks[transceiver.receiver.track.kind] ?? null);
      }
      await pc.setLocalDescription();
      this.#describeSelf();
    });
  }

  /** Takes candidates of the other side. */
  addCandidates(candidates) {
    this.#do(async (pc) => {
      // One without its description is in the next one, which is sent until it is answered.
      for (const candidate of candidates) await pc.addIceCandidate(candidate).catch(() => {});
    });
  }

  /** Sends another track of a kind, or none. */
  async setTrack(kind, track) {
    this.#tracks[kind] = track ?? undefined;
    const own = this.#pc.getTransceivers().find((each) => each.receiver.track.kind === kind);
    await own?.sender.replaceTrack(track ?? null);
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#repeatTimer);
    clearTimeout(this.#lostTimer);
    clearTimeout(this.#giveUpTimer);
    this.#pc.close();
  }

  #do(work) {
    this.#work = this.#work.then(() => (this.#isClosed ? null : work(this.#pc))).catch((error) => {
      // What the other side sent cannot be used: the call goes on, or is given up when it never connects.
      if (!this.#isClosed) console.warn(`Roost call: a signal was ignored: ${error.message}`);
    });
  }

  async #offer() {
    try {
      this.#isOffering = true;
      await this.#pc.setLocalDescription();
      this.#describeSelf();
    } catch {
      // Closed, or the other side's offer came first.
    } finally {
      this.#isOffering = false;
    }
  }

  #describeSelf() {
    const { type, sdp } = this.#pc.localDescription;
    if (!this.#isClosed) this.#options.send({ kind: 'description', description: { type, sdp } });
  }

  #repeat() {
    if (this.#pc.signalingState === 'have-local-offer') this.#describeSelf();
  }

  #adopt(channel) {
    channel.binaryType = 'arraybuffer';
    channel.addEventListener('open', () => this.#options.onChannel(channel));
    channel.addEventListener('close', () => this.#end('ended'));
  }

  #end(state) {
    if (!this.#isClosed) this.#options.onState(state);
  }

  #changed() {
    if (this.#isClosed) return;
    const state = this.#pc.connectionState;
    if (state === 'connected') {
      clearTimeout(this.#lostTimer);
      clearTimeout(this.#giveUpTimer);
      this.#giveUpTimer = undefined;
      this.#options.onState('connected');
    } else if (state === 'disconnected' || state === 'failed') {
      this.#options.onState('lost');
      this.#giveUpTimer ??= setTimeout(() => this.#end('failed'), GIVE_UP_MS);
      clearTimeout(this.#lostTimer);
      this.#lostTimer = setTimeout(() => this.#restart(), state === 'failed' ? 0 : LOST_MS);
    }
  }

  async #restart() {
    const servers = await this.#options.renew().catch(() => null);
    if (this.#isClosed) return;
    if (servers) this.#pc.setConfiguration({ iceServers: servers });
    this.#pc.restartIce();
  }
}
