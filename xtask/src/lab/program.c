/* What a guest compiles again and again while it is on the move. It says how it was compiled, and does arithmetic of which the
 * guest knows the outcome. SEED is another one each time. */

#include "system.h"

#define STEPS 100
#define SIEVE 20000

/* Functions enough for a compiler to have something to do: each turns its argument round in its own way. */
#define TURN(n) static word turn_##n(word x) { return ((x << (n % 31 + 1)) | (x >> (63 - n % 31))) ^ (word)n * SEED; }
#define BACK(n) static word back_##n(word x) { x ^= (word)n * SEED; return (x >> (n % 31 + 1)) | (x << (63 - n % 31)); }
#define BOTH(n) TURN(n) BACK(n)
#define TEN(n) BOTH(n##0) BOTH(n##1) BOTH(n##2) BOTH(n##3) BOTH(n##4) BOTH(n##5) BOTH(n##6) BOTH(n##7) BOTH(n##8) BOTH(n##9)
#define ALL TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) TEN(12)
ALL

#undef BOTH
#define BOTH(n) { turn_##n, back_##n },
static word (*const pairs[][2])(word) = { ALL };

static long primes(void)
{
    static char composite[SIEVE];
    long count = 0, number, multiple;
    for (number = 2; number < SIEVE; number++) {
        if (composite[number])
            continue;
        count++;
        for (multiple = 2 * number; multiple < SIEVE; multiple += number)
            composite[multiple] = 1;
    }
    return count;
}

static long chain(void)
{
    word value = SEED;
    int step, pair, count = sizeof pairs / sizeof *pairs;
    for (step = 0; step < STEPS; step++) {
        value = value * 6364136223846793005 + 1442695040888963407;
        for (pair = 0; pair < count; pair++)
            value = pairs[pair][0](value);
        while (pair-- > 0)
            value = pairs[pair][1](value);
    }
    return (long)value;
}

/* Where a program begins that has no library. */
void _start(void)
{
    say(SEED, ' ');
    say(primes(), ' ');
    say(chain(), '\n');
    call(60, 0, 0, 0);
}
