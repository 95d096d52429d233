// A small stack machine: `interp [PROGRAM [INPUT]]`, or the program on stdin.
//
// PROGRAM is text; each character is an instruction on a stack of 64-bit integers:
//   0-9   push the digit           _    multiply the top by ten and add the next digit (1_2 = 12)
//   a-z   push variable            A-Z  pop into variable
//   + - * / % < =                  pop two, push one
//   !     push 1 if the top is 0, else 0
//   : ,   duplicate; swap          ;    drop
//   [ ]   loop: pop at `[`, skip past the matching `]` when 0; `]` jumps back to its `[`
//   .     pop and print            '    pop and print as a character
//   #     push the input number    @    stop
// Without a program it prints the primes up to the input (100 by default).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 256, CODE = 4096 };

// n from 2: d = 2; while d*d <= n and n % d: d += 1; print n if d*d > n
static const char primes[] =
    "2N n#1+<[ 2D n1+dd*<!nd%!!*[ d1+D n1+dd*<!nd%!!* ] ndd*<[n.0] n1+N n#1+< ]@";

typedef struct {
    const char *code;
    size_t length;
    int64_t stack[STACK], variables[26], input;
    uint16_t match[CODE];  // of each bracket, the position of its partner
    size_t at, depth;
    uint64_t steps;
    const char *error;
} Machine;

static void match_brackets(Machine *m) {
    uint16_t open[STACK];
    size_t depth = 0;
    for (size_t i = 0; i < m->length; i++) {
        if (m->code[i] == '[') {
            if (depth == STACK) {
                m->error = "brackets nest too deeply";
                return;
            }
            open[depth++] = (uint16_t)i;
        } else if (m->code[i] == ']') {
            if (depth == 0) {
                m->error = "] without [";
                return;
            }
            m->match[i] = open[--depth];
            m->match[open[depth]] = (uint16_t)i;
        }
    }
    if (depth > 0) {
        m->error = "[ without ]";
    }
}

static void push(Machine *m, int64_t value) {
    if (m->depth == STACK) {
        m->error = "stack overflow";
    } else {
        m->stack[m->depth++] = value;
    }
}

static int64_t pop(Machine *m) {
    if (m->depth == 0) {
        m->error = "stack underflow";
        return 0;
    }
    return m->stack[--m->depth];
}

static int64_t divide(Machine *m, int64_t a, int64_t b, int remainder) {
    if (b == 0) {
        m->error = "division by zero";
        return 0;
    }
    if (b == -1) {  // the smallest number divided by -1 would trap
        return remainder ? 0 : (int64_t)-(uint64_t)a;
    }
    return remainder ? a % b : a / b;
}

static void arithmetic(Machine *m, char op) {
    uint64_t b = (uint64_t)pop(m), a = (uint64_t)pop(m);
    switch (op) {
    case '+': push(m, (int64_t)(a + b)); break;
    case '-': push(m, (int64_t)(a - b)); break;
    case '*': push(m, (int64_t)(a * b)); break;
    case '/': push(m, divide(m, (int64_t)a, (int64_t)b, 0)); break;
    case '%': push(m, divide(m, (int64_t)a, (int64_t)b, 1)); break;
    case '<': push(m, (int64_t)a < (int64_t)b); break;
    default: push(m, a == b);
    }
}

static void step(Machine *m, char op) {
    int64_t top;
    switch (op) {
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        push(m, op - '0');
        break;
    case '_':
        top = pop(m);
        m->at++;
        push(m, (int64_t)((uint64_t)top * 10 + (uint64_t)(m->at < m->length ? m->code[m->at] - '0' : 0)));
        break;
    case '+': case '-': case '*': case '/': case '%': case '<': case '=':
        arithmetic(m, op);
        break;
    case '!': push(m, pop(m) == 0); break;
    case ':': top = pop(m); push(m, top); push(m, top); break;
    case ',': {
        int64_t below;
        top = pop(m);
        below = pop(m);
        push(m, top);
        push(m, below);
        break;
    }
    case ';': pop(m); break;
    case '[':
        if (pop(m) == 0) m->at = m->match[m->at];
        break;
    case ']': m->at = (size_t)m->match[m->at] - 1; break;
    case '.': printf("%lld\n", (long long)pop(m)); break;
    case '\'': putchar((int)pop(m)); break;
    case '#': push(m, m->input); break;
    case '@': m->at = m->length; break;
    default:
        if (op >= 'a' && op <= 'z') {
            push(m, m->variables[op - 'a']);
        } else if (op >= 'A' && op <= 'Z') {
            m->variables[op - 'A'] = pop(m);
        } else if (op != ' ' && op != '\n') {
            m->error = "unknown instruction";
        }
    }
}

static int run(Machine *m) {
    match_brackets(m);
    for (m->at = 0; m->at < m->length && !m->error; m->at++) {
        m->steps++;
        step(m, m->code[m->at]);
    }
    if (m->error) {
        fprintf(stderr, "%s at %zu\n", m->error, m->at);
        return 1;
    }
    printf("%llu steps\n", (unsigned long long)m->steps);
    return 0;
}

int main(int argc, char **argv) {
    static Machine m;
    static char text[CODE];
    m.code = argc > 1 && *argv[1] ? argv[1] : text;
    m.input = argc > 2 ? strtoll(argv[2], NULL, 10) : 100;
    if (m.code == text && fread(text, 1, sizeof text - 1, stdin) == 0) {
        m.code = primes;
    }
    m.length = strlen(m.code);
    if (m.length >= CODE) {
        fputs("the program is too long\n", stderr);
        return 2;
    }
    return run(&m);
}
