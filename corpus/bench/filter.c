// A packet filter: the machine of McCanne and Jacobson (The BSD Packet Filter, 1993) decides about
// `size` packets. An interpreter with short programs, big-endian loads and branches that packets
// decide.
#include "bench.h"

enum { PACKETS = 64, PACKET = 96, MAX_CODE = 64, SCRATCH = 16 };

// Instruction classes and what they are made of, in the paper's encoding.
enum {
    LD = 0, LDX = 1, ST = 2, STX = 3, ALU = 4, JMP = 5, RET = 6, MISC = 7,
    W = 0x00, H = 0x08, B = 0x10,
    IMM = 0x00, ABS = 0x20, IND = 0x40, MEM = 0x60, LEN = 0x80, MSH = 0xa0,
    ADD = 0x00, SUB = 0x10, MUL = 0x20, DIV = 0x30, OR = 0x40, AND = 0x50, LSH = 0x60, RSH = 0x70,
    NEG = 0x80,
    JA = 0x00, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40,
    K = 0x00, X = 0x08, A = 0x10,
    TAX = 0x00, TXA = 0x80,
};

typedef struct {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
} Instruction;

static Instruction program[MAX_CODE];
static uint8_t packets[PACKETS][PACKET];

// Loads 1, 2 or 4 bytes, the most significant first; gives 0 if they lie outside the packet.
static inline int load(const uint8_t *packet, uint32_t length, uint32_t at, uint32_t width,
                       uint32_t *value) {
    uint32_t size = width == W ? 4 : width == H ? 2 : 1;
    if (at > length || length - at < size) {
        return 0;
    }
    *value = 0;
    for (uint32_t i = 0; i < size; i++) {
        *value = *value << 8 | packet[at + i];
    }
    return 1;
}

// Bytes of the packet to keep: 0, not wanted. A program that does something illegal ends with 0.
static uint32_t decide(const Instruction *pc, const uint8_t *packet, uint32_t length) {
    uint32_t a = 0, x = 0, scratch[SCRATCH] = {0};
    for (;; pc++) {
        uint32_t k = pc->k, operand = pc->code & X ? x : k, size = pc->code & 0x18;
        switch (pc->code) {
        case LD | W | ABS: case LD | H | ABS: case LD | B | ABS:
            if (!load(packet, length, k, size, &a)) return 0;
            break;
        case LD | W | IND: case LD | H | IND: case LD | B | IND:
            if (k + x < k || !load(packet, length, k + x, size, &a)) return 0;
            break;
        case LDX | B | MSH:  // the length of an IP header
            if (!load(packet, length, k, B, &x)) return 0;
            x = (x & 15) << 2;
            break;
        case LD | IMM: a = k; break;
        case LDX | IMM: x = k; break;
        case LD | W | LEN: a = length; break;
        case LDX | W | LEN: x = length; break;
        case LD | MEM: a = scratch[k % SCRATCH]; break;
        case LDX | MEM: x = scratch[k % SCRATCH]; break;
        case ST: scratch[k % SCRATCH] = a; break;
        case STX: scratch[k % SCRATCH] = x; break;
        case ALU | ADD | K: case ALU | ADD | X: a += operand; break;
        case ALU | SUB | K: case ALU | SUB | X: a -= operand; break;
        case ALU | MUL | K: case ALU | MUL | X: a *= operand; break;
        case ALU | DIV | K: case ALU | DIV | X:
            if (operand == 0) return 0;
            a /= operand;
            break;
        case ALU | OR | K: case ALU | OR | X: a |= operand; break;
        case ALU | AND | K: case ALU | AND | X: a &= operand; break;
        case ALU | LSH | K: case ALU | LSH | X: a = operand < 32 ? a << operand : 0; break;
        case ALU | RSH | K: case ALU | RSH | X: a = operand < 32 ? a >> operand : 0; break;
        case ALU | NEG: a = 0 - a; break;
        case JMP | JA: pc += k; break;
        case JMP | JEQ | K: case JMP | JEQ | X: pc += a == operand ? pc->jt : pc->jf; break;
        case JMP | JGT | K: case JMP | JGT | X: pc += a > operand ? pc->jt : pc->jf; break;
        case JMP | JGE | K: case JMP | JGE | X: pc += a >= operand ? pc->jt : pc->jf; break;
        case JMP | JSET | K: case JMP | JSET | X: pc += a & operand ? pc->jt : pc->jf; break;
        case MISC | TAX: x = a; break;
        case MISC | TXA: a = x; break;
        case RET | K: return k;
        case RET | A: return a;
        default: return 0;
        }
    }
}

// The paper's example, grown: of TCP or UDP over IP, from one of two nets, all that comes from or
// goes to some ports, and the first bytes of the rest; comments give the target of a jump.
static const Instruction example[] = {
    {LD | H | ABS, 0, 0, 12},            // the Ethernet type
    {JMP | JEQ | K, 0, 22, 0x0800},      // IP; no: 24
    {LD | B | ABS, 0, 0, 23},            // the protocol
    {JMP | JEQ | K, 1, 0, 6},            // TCP: 5
    {JMP | JEQ | K, 0, 19, 17},          // UDP; no: 24
    {LD | W | ABS, 0, 0, 26},            // the source address
    {ALU | AND | K, 0, 0, 0xff000000},
    {JMP | JEQ | K, 2, 0, 0x0a000000},   // 10/8: 10
    {JMP | JEQ | K, 1, 0, 0xc0000000},   // 192/8: 10
    {RET | K, 0, 0, 0},
    {LD | H | ABS, 0, 0, 20},            // flags and fragment offset
    {JMP | JSET | K, 12, 0, 0x1fff},     // a later fragment: 24
    {LDX | B | MSH, 0, 0, 14},
    {LD | H | IND, 0, 0, 14},            // the source port
    {ST, 0, 0, 0},
    {LD | H | IND, 0, 0, 16},            // the destination port
    {JMP | JEQ | K, 5, 0, 80},           // 22
    {JMP | JEQ | K, 4, 0, 443},          // 22
    {LD | MEM, 0, 0, 0},
    {JMP | JEQ | K, 2, 0, 80},           // 22
    {JMP | JGE | K, 1, 0, 60000},        // 22
    {RET | K, 0, 0, 64},
    {LD | W | LEN, 0, 0, 0},             // all of it
    {RET | A, 0, 0, 0},
    {LD | B | ABS, 0, 0, 14},            // others: something of their first bytes
    {ALU | LSH | K, 0, 0, 3},
    {MISC | TAX, 0, 0, 0},
    {LD | B | ABS, 0, 0, 15},
    {ALU | ADD | X, 0, 0, 0},
    {MISC | TAX, 0, 0, 0},
    {LD | B | ABS, 0, 0, 16},
    {ALU | MUL | X, 0, 0, 0},
    {ALU | AND | K, 0, 0, 0xff},
    {RET | A, 0, 0, 0},
};

static void make_packet(Random *random, uint8_t *packet) {
    for (int i = 0; i < PACKET; i += 8) {
        uint64_t word = random_bits(random);
        copy_bytes(packet + i, &word, 8);
    }
    static const uint16_t ports[4] = {80, 443, 53, 60001};
    static const uint8_t nets[4] = {10, 192, 127, 10}, protocols[4] = {6, 17, 6, 1};
    uint32_t choice = (uint32_t)random_bits(random);
    packet[12] = 0x08, packet[13] = choice & 7 ? 0x00 : 0x06;  // sometimes ARP
    packet[14] = 0x45, packet[20] = choice >> 3 & 7 ? 0x40 : 0x01;  // sometimes a fragment
    packet[21] = 0;
    packet[23] = protocols[choice >> 6 & 3];
    packet[26] = nets[choice >> 8 & 3];
    uint16_t port = ports[choice >> 10 & 3];
    uint8_t *place = packet + (choice >> 12 & 1 ? 34 : 36);
    place[0] = (uint8_t)(port >> 8), place[1] = (uint8_t)port;
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    copy_bytes(program, example, sizeof example);
    for (int i = 0; i < PACKETS; i++) {
        make_packet(&random, packets[i]);
    }
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t length = PACKET - (i & 31);
        hash = mix(hash, decide(program, packets[i * 7 % PACKETS], length));
    }
    return hash;
}

// For tests: the first packet, of at most 96 bytes.
EXPORT(buffer) uint8_t *buffer(void) {
    return packets[0];
}

// At most 64 instructions, as in memory: code, jt, jf, k. The last must return.
EXPORT(code) uint8_t *code(void) {
    return (uint8_t *)program;
}

EXPORT(filter) uint32_t filter(uint32_t length) {
    return decide(program, packets[0], length);
}

// Puts the example into `code`; gives its number of instructions.
EXPORT(load_example) uint32_t load_example(void) {
    copy_bytes(program, example, sizeof example);
    return sizeof example / sizeof example[0];
}
