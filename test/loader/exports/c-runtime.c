#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <setjmp.h>
#include <time.h>
#include <errno.h>
#include <ctype.h>
#include <stdarg.h>
#define EXPORT __declspec(dllexport)
int _fltused;
static int fmt(char*b,size_t n,const char*f,...){va_list a;va_start(a,f);int r=__stdio_common_vsprintf(0x22,b,n,f,0,a);va_end(a);return r;}
static int out(FILE*s,const char*f,...){va_list a;va_start(a,f);int r=__stdio_common_vfprintf(0x22,s,f,0,a);va_end(a);return r;}
static int scan(const char*b,const char*f,...){va_list a;va_start(a,f);int r=__stdio_common_vsscanf(0,b,(size_t)-1,f,0,a);va_end(a);return r;}
EXPORT int t_printf(char*b,size_t n){return fmt(b,n,"%d|%5s|%-5s|%05d|%x|%X|%#x|%lld|%g|%e|%.3f|%c|%%|%10.4f|%s|%u|%hd|%llx",-42,"ab","cd",7,255,255,255,-1234567890123LL,0.1,12345.678,2.5,'z',3.14159265,"end",4000000000u,(short)-3,0xdeadbeefcafeULL);}
static int cmp(const void*a,const void*b){return *(const int*)a-*(const int*)b;}
EXPORT int t_qsort(void){int v[]={5,3,9,1,7,2,8};qsort(v,7,sizeof(int),cmp);int k=8;int*f=bsearch(&k,v,7,sizeof(int),cmp);int r=0;for(int i=0;i<7;i++)r=r*10+v[i];return f&&*f==8?r:-1;}
EXPORT double t_math(double x,float y,int n){return pow(x,2.0)+sqrt(y)+ldexp(1.0,n)+floor(-1.5)+fmod(7.5,2.0);}
EXPORT long long t_strtoll(const char*s){return strtoll(s,0,0);}
EXPORT double t_strtod(const char*s){return strtod(s,0);}
EXPORT int t_file(void){FILE*f=fopen("C:\\Temp\\a.txt","w");if(!f)return -errno;out(f,"line %d\nline %d\n",1,2);fclose(f);f=fopen("C:\\Temp\\a.txt","rb");char b[64];size_t n=fread(b,1,sizeof b,f);fclose(f);f=fopen("C:\\Temp\\a.txt","r");char l[64];int lines=0;while(fgets(l,sizeof l,f))lines+=(int)strlen(l);fclose(f);return (int)n*100+lines;}
EXPORT int t_scan(void){int a;double d;char s[16];unsigned h;int n=scan(" 12 3.5e2 word ff","%d %lf %15s %x",&a,&d,s,&h);return n*100000+a*100+(int)d+(int)strlen(s)*10000+h;}
EXPORT int t_malloc(void){char*p=malloc(100);strcpy(p,"hello");p=realloc(p,5000);int r=strcmp(p,"hello");free(p);char*q=calloc(10,10);for(int i=0;i<100;i++)r+=q[i];free(q);return r;}
EXPORT int t_div(int a,int b){div_t d=div(a,b);return d.quot*1000+d.rem;}
EXPORT long long t_lldiv(long long a,long long b){lldiv_t d=lldiv(a,b);return d.quot*1000+d.rem;}
EXPORT int t_puts(void){puts("hello");out(__acrt_iob_func(1),"x=%d\n",5);return 0;}
EXPORT long long t_time(char*b){time_t t=_time64(0);struct tm*m=_gmtime64(&t);strftime(b,64,"%Y-%m-%d %H:%M:%S %a %j",m);return _mktime64(m);}
EXPORT int t_misc(void){return (int)strtol("0x1f",0,16)+atoi("  42abc")+(strtok((char*)0,"x")==0)+(strstr("haystack","st")!=0)*1000+toupper('a')+isalpha('x');}
static FILE *kept;
EXPORT int t_open(void){kept=fopen("C:\\Temp\\b.txt","wb");return kept?0:-1;}
EXPORT int t_write(int n){return out(kept,"<%d>",n);}
EXPORT int t_close(void){return fclose(kept);}
