// Looking again and again while somebody is looking, and with patience while the app is away.

const FIRST_BACKOFF_SECONDS = 2;
const LONGEST_BACKOFF_SECONDS = 60;

export class Poller {
  #look;
  #tell;
  #timer;
  #failures = 0;
  #looking = false;
  #stopped = false;

  /**
   * @param {() => Promise<number>} look resolves to the seconds until the next look
   * @param {(state: {online: boolean, fault?: Error, again?: number}) => void} tell told how it went
   */
  constructor(look, tell) {
    this.#look = look;
    this.#tell = tell;
    document.addEventListener("visibilitychange", this.now);
    window.addEventListener("online", this.now);
    this.now();
  }

  /** Look now, unless nobody would see it or a look is under way. */
  now = async () => {
    if (this.#stopped || this.#looking || document.hidden) return;
    clearTimeout(this.#timer);
    this.#looking = true;
    const seconds = await this.#once();
    this.#looking = false;
    if (!this.#stopped) this.#timer = setTimeout(this.now, seconds * 1000);
  };

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.now);
    window.removeEventListener("online", this.now);
  }

  async #once() {
    try {
      const seconds = await this.#look();
      this.#failures = 0;
      if (!this.#stopped) this.#tell({ online: true });
      return seconds;
    } catch (fault) {
      const again = Math.min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** this.#failures);
      this.#failures += 1;
      if (!this.#stopped) this.#tell({ online: false, fault, again });
      return again;
    }
  }
}
