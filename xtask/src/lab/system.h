/* What programs of a guest need that have no library. */

typedef unsigned long word;

static long call(long number, long first, long second, long third)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
}

static char *digits(char *end, long value)
{
    word rest = value < 0 ? -(word)value : (word)value;
    do
        *--end = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0)
        *--end = '-';
    return end;
}

static void say(long value, char after)
{
    char text[24], *end = text + sizeof text, *begin;
    *--end = after;
    begin = digits(end, value);
    call(1, 1, (long)begin, text + sizeof text - begin);
}
