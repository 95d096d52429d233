// CHIP-8 (the machine of the COSMAC VIP, 1977, after its published descriptions) runs `size`
// instructions of a small program that draws digits at random places. An interpreter with a big
// switch, state in memory, and a bit-wise display.
#include "bench.h"

enum { MEMORY = 4096, START = 0x200, WIDTH = 64, HEIGHT = 32, STACK = 16 };

typedef struct {
    uint8_t memory[MEMORY];
    uint64_t screen[HEIGHT];  // bit 63 is the leftmost pixel
    uint16_t stack[STACK];
    uint8_t v[16], depth, delay, sound;
    uint16_t pc, i, keys;  // keys: a bit for each that is pressed
    Random random;
} Chip8;

static Chip8 chip;

static const uint8_t font[80] = {
    0xf0, 0x90, 0x90, 0x90, 0xf0, 0x20, 0x60, 0x20, 0x20, 0x70, 0xf0, 0x10, 0xf0, 0x80, 0xf0, 0xf0,
    0x10, 0xf0, 0x10, 0xf0, 0x90, 0x90, 0xf0, 0x10, 0x10, 0xf0, 0x80, 0xf0, 0x10, 0xf0, 0xf0, 0x80,
    0xf0, 0x90, 0xf0, 0xf0, 0x10, 0x20, 0x40, 0x40, 0xf0, 0x90, 0xf0, 0x90, 0xf0, 0xf0, 0x90, 0xf0,
    0x10, 0xf0, 0xf0, 0x90, 0xf0, 0x90, 0x90, 0xe0, 0x90, 0xe0, 0x90, 0xe0, 0xf0, 0x80, 0x80, 0x80,
    0xf0, 0xe0, 0x90, 0x90, 0x90, 0xe0, 0xf0, 0x80, 0xf0, 0x80, 0xf0, 0xf0, 0x80, 0xf0, 0x80, 0x80};

static const uint16_t rom[] = {
    0x00e0,  // 200: clear the screen
    0x6a00,  // 202: va = 0, digits on the screen
    0xc03f,  // 204: v0 = random, the column
    0xc11f,  // 206: v1 = random, the row
    0xc20f,  // 208: v2 = random, the digit
    0xf229,  // 20a: i = the sprite of v2
    0xd015,  // 20c: draw it
    0x3f00,  // 20e: did it hit one?
    0x2220,  // 210: yes: call 220
    0xe09e,  // 212: is key v0 pressed?
    0x7a01,  // 214: no: va += 1
    0x3a80,  // 216: are there 128?
    0x1204,  // 218: no: go on
    0x1200,  // 21a: start again
    0x0000,  // 21c
    0x0000,  // 21e
    0x8cf4,  // 220: vc += vf, the number of hits, with its carry in vf
    0xa300,  // 222: i = 300
    0xfc33,  // 224: its three digits
    0xf265,  // 226: to v0, v1, v2
    0x8014,  // 228: their sum
    0x8024,  // 22a
    0x6d08,  // 22c: vd = 8
    0x8e06,  // 22e: ve = v0 shifted right by one
    0x80e3,  // 230: v0 ^= ve
    0x7dff,  // 232: vd -= 1
    0x3d00,  // 234: is it 0?
    0x122e,  // 236: no: again
    0xa310,  // 238: i = 310
    0xfe55,  // 23a: keep v0 to ve there
    0x00ee,  // 23c: return
};

static void reset(uint32_t seed) {
    fill_bytes(&chip, 0, sizeof chip);
    copy_bytes(chip.memory, font, sizeof font);
    chip.random = random_from(seed);
    chip.pc = START;
}

// Draws n rows at (x, y), clipped at the edges; gives 1 if a pixel was switched off.
static uint8_t draw(uint8_t x, uint8_t y, uint8_t n) {
    uint64_t hit = 0;
    x %= WIDTH, y %= HEIGHT;
    for (int row = 0; row < n && y + row < HEIGHT; row++) {
        uint64_t sprite = (uint64_t)chip.memory[(chip.i + row) % MEMORY] << 56 >> x;
        hit |= chip.screen[y + row] & sprite;
        chip.screen[y + row] ^= sprite;
    }
    return hit != 0;
}

static void arithmetic(uint8_t op, uint8_t *vx, uint8_t y) {
    uint8_t x = *vx, flag;
    switch (op) {
    case 0x0: *vx = y; return;
    case 0x1: *vx = x | y; return;
    case 0x2: *vx = x & y; return;
    case 0x3: *vx = x ^ y; return;
    case 0x4: *vx = (uint8_t)(x + y), flag = x + y > 255; break;
    case 0x5: *vx = (uint8_t)(x - y), flag = x >= y; break;
    case 0x6: *vx = y >> 1, flag = y & 1; break;
    case 0x7: *vx = (uint8_t)(y - x), flag = y >= x; break;
    case 0xe: *vx = (uint8_t)(y << 1), flag = y >> 7; break;
    default: return;
    }
    chip.v[15] = flag;
}

static void special(uint8_t op, uint8_t number) {
    uint8_t *v = chip.v, *vx = &v[number];
    switch (op) {
    case 0x07: *vx = chip.delay; break;
    case 0x0a:  // wait for a key
        if (chip.keys == 0) {
            chip.pc -= 2;
        } else {
            *vx = (uint8_t)__builtin_ctz(chip.keys);
        }
        break;
    case 0x15: chip.delay = *vx; break;
    case 0x18: chip.sound = *vx; break;
    case 0x1e: chip.i = (uint16_t)((chip.i + *vx) % MEMORY); break;
    case 0x29: chip.i = (uint16_t)((*vx & 15) * 5); break;
    case 0x33:
        chip.memory[chip.i % MEMORY] = *vx / 100;
        chip.memory[(chip.i + 1) % MEMORY] = *vx / 10 % 10;
        chip.memory[(chip.i + 2) % MEMORY] = *vx % 10;
        break;
    case 0x55:
        for (int k = 0; k <= number; k++) {
            chip.memory[chip.i++ % MEMORY] = v[k];
        }
        break;
    case 0x65:
        for (int k = 0; k <= number; k++) {
            v[k] = chip.memory[chip.i++ % MEMORY];
        }
    }
}

static void step(void) {
    uint16_t pc = chip.pc % MEMORY;
    uint16_t code = (uint16_t)(chip.memory[pc] << 8 | chip.memory[(pc + 1) % MEMORY]);
    uint8_t *v = chip.v, *vx = &v[code >> 8 & 15], y = v[code >> 4 & 15], low = (uint8_t)code;
    uint16_t address = code & 0xfff;
    chip.pc = pc + 2;
    switch (code >> 12) {
    case 0x0:
        if (code == 0x00e0) {
            fill_bytes(chip.screen, 0, sizeof chip.screen);
        } else if (code == 0x00ee) {
            chip.pc = chip.stack[--chip.depth % STACK];
        }
        break;
    case 0x1: chip.pc = address; break;
    case 0x2: chip.stack[chip.depth++ % STACK] = chip.pc, chip.pc = address; break;
    case 0x3: chip.pc += *vx == low ? 2 : 0; break;
    case 0x4: chip.pc += *vx != low ? 2 : 0; break;
    case 0x5: chip.pc += *vx == y ? 2 : 0; break;
    case 0x6: *vx = low; break;
    case 0x7: *vx = (uint8_t)(*vx + low); break;
    case 0x8: arithmetic(code & 15, vx, y); break;
    case 0x9: chip.pc += *vx != y ? 2 : 0; break;
    case 0xa: chip.i = address; break;
    case 0xb: chip.pc = (uint16_t)(address + v[0]); break;
    case 0xc: *vx = (uint8_t)random_bits(&chip.random) & low; break;
    case 0xd: v[15] = draw(*vx, y, code & 15); break;
    case 0xe: {
        uint16_t pressed = chip.keys >> (*vx & 15) & 1;
        chip.pc += low == 0x9e && pressed ? 2 : low == 0xa1 && !pressed ? 2 : 0;
        break;
    }
    default: special(low, code >> 8 & 15);
    }
}

// A frame of the display is eight instructions, in which the timers go down by one.
static void steps(uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        if (n % 8 == 0) {
            chip.delay -= chip.delay > 0;
            chip.sound -= chip.sound > 0;
        }
        step();
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    reset(seed);
    for (uint32_t i = 0; i < sizeof rom / sizeof rom[0]; i++) {
        chip.memory[START + 2 * i] = (uint8_t)(rom[i] >> 8);
        chip.memory[START + 2 * i + 1] = (uint8_t)rom[i];
    }
    chip.keys = (uint16_t)random_bits(&chip.random);
    steps(size);
    uint64_t hash = mix_bytes(chip.pc, (const uint8_t *)chip.screen, sizeof chip.screen);
    return mix_bytes(hash, chip.v, sizeof chip.v);
}

// For tests: the memory, where the host puts a program at 0x200.
EXPORT(buffer) uint8_t *buffer(void) {
    return chip.memory;
}

EXPORT(restart) void restart(uint32_t seed) {
    reset(seed);
}

// Executes some instructions with some keys pressed.
EXPORT(execute) void execute(uint32_t count, uint32_t keys) {
    chip.keys = (uint16_t)keys;
    steps(count);
}

// A register: v0 to vf, then i and pc.
EXPORT(get) uint32_t get(uint32_t number) {
    return number < 16 ? chip.v[number] : number == 16 ? chip.i : chip.pc;
}

// 32 rows of eight bytes, little-endian, whose highest bit is the leftmost pixel.
EXPORT(display) uint8_t *display(void) {
    return (uint8_t *)chip.screen;
}
