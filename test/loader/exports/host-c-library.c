#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <math.h>
#include <errno.h>
#include <time.h>
#include <ctype.h>
static uint64_t s=88172645463325252ULL;
static uint64_t rnd(void){s^=s<<13;s^=s>>7;s^=s<<17;return s;}
static uint64_t bits(double d){uint64_t u;memcpy(&u,&d,8);return u;}
static double dbl(uint64_t u){double d;memcpy(&d,&u,8);return d;}
static void str(const char*t){putchar('"');for(;*t;t++){if(*t=='"'||*t=='\\')putchar('\\');if((unsigned char)*t<32)printf("\\u%04x",*t);else putchar(*t);}putchar('"');}
static int first=1;
static void row(void){if(!first)printf(",\n");first=0;printf("    [");}
static void open_(const char*n){static int any=0;if(any)printf("\n  ],\n");any=1;printf("  \"%s\": [\n",n);first=1;}
int main(void){
  printf("{\n");
  open_("float");
  const char*ff[]={"%e","%f","%g","%.0f","%.0e","%.1g","%.17g","%.3f","%+.2e","% g","%#g","%#.0f","%012.4f","%-12.3gx","%.15e","%.20f","%.13a","%.3a","%.0a","%#.0a","%G","%E","%08.2f","%.25e"};
  double fixed[]={0.0,-0.0,1.0,0.5,1.5,2.5,0.125,0.1,0.2,0.3,1e15,1e16,1e17,123456789.0,1e21,1e22,1e23,9.5,99.5,999999.5,0.00001,0.0001,0.00099995,1e100,1e-100,1.7976931348623157e308,5e-324,2.2250738585072014e-308,3.141592653589793,-2.718281828459045,65504.0,0.045,1.005,1.115,INFINITY,-INFINITY};
  for(int i=0;i<36;i++)for(unsigned j=0;j<sizeof ff/sizeof*ff;j++){if((i*7+j*3)%4&&i>12)continue;char b[2048];snprintf(b,sizeof b,ff[j],fixed[i]);row();str(ff[j]);printf(", \"%016llx\", ",(unsigned long long)bits(fixed[i]));str(b);printf("]");}
  for(int i=0;i<160;i++){uint64_t u=rnd();double d=dbl(u);if(isnan(d)||isinf(d))continue;const char*f=ff[i%(sizeof ff/sizeof*ff)];char b[2048];snprintf(b,sizeof b,f,d);if(strlen(b)>400)continue;row();str(f);printf(", \"%016llx\", ",(unsigned long long)u);str(b);printf("]");}
  open_("integer");
  const char*fi[]={"%d","%i","%u","%x","%X","%o","%#x","%#o","%5d","%-5dx","%05d","%+d","% d","%.3d","%8.3d","%-8.3dx","%+.0d","%.0d","%hd","%hu","%hhd","%hhu","%#X","%08x","%+5d","%c"};
  int vi[]={0,1,-1,42,-42,255,65535,-32768,2147483647,(int)-2147483648LL,7,1000000};
  for(unsigned j=0;j<sizeof fi/sizeof*fi;j++)for(int i=0;i<12;i++){if(!strcmp(fi[j],"%c")&&(vi[i]<32||vi[i]>126))continue;char b[256];snprintf(b,sizeof b,fi[j],vi[i]);row();str(fi[j]);printf(", %d, ",vi[i]);str(b);printf("]");}
  open_("long");
  const char*fl[]={"%lld","%llu","%llx","%20lld","%-20lldx","%020lld","%#llX","%llo","%jd","%+lld"};
  long long vl[]={0,1,-1,9223372036854775807LL,-9223372036854775807LL-1,1234567890123LL,4294967296LL};
  for(unsigned j=0;j<sizeof fl/sizeof*fl;j++)for(int i=0;i<7;i++){char b[256];snprintf(b,sizeof b,fl[j],vl[i]);row();str(fl[j]);printf(", \"%lld\", ",vl[i]);str(b);printf("]");}
  open_("string");
  const char*fs[]={"%s","%10s","%-10sx","%.2s","%10.3s","%-10.3sx","%.0s","a%sb%%"};
  const char*vs[]={"","a","hello","a longer text"};
  for(unsigned j=0;j<8;j++)for(int i=0;i<4;i++){char b[256];snprintf(b,sizeof b,fs[j],vs[i]);row();str(fs[j]);printf(", ");str(vs[i]);printf(", ");str(b);printf("]");}
  open_("strtod");
  const char*sd[]={"0","-0","1","1.5","  42","+3.25e2","1e308","1e309","-1e309","1e-323","1e-400","4.9406564584124654e-324","2.4703282292062327e-324","2.4703282292062328e-324","1.7976931348623157e308","1.7976931348623159e308","0.1","9007199254740993","9007199254740992.5","9007199254740995","123456789012345678901234567890","0x1p0","0x1.8p1","0x.8p-3","0x1.fffffffffffff8p0","0x1.fffffffffffff7p0","0x10","0x","0xg","1e","1e+","1e5x",".5",".","-.5e1","inf","-Infinity","INFx","abc","","1.0000000000000002220446049250313080847263336181640625","1.00000000000000011102230246251565404236316680908203125","1.00000000000000011102230246251565404236316680908203124","8.98846567431158e307","2.2250738585072011e-308","2.2250738585072012e-308","6.631236846766476e-316","3.2378839133029012895883524125015321748630094500687e-319","0.000000000000000000000000000000000000001","1e23","8.5e22","5e-1","0e999999999","1e-99999999999","1e99999999999","12.","0x1p-1074","0x1p-1075","0x1.8p-1075","0x1p1023","0x1p1024"};
  for(unsigned i=0;i<sizeof sd/sizeof*sd;i++){char*e;errno=0;double d=strtod(sd[i],&e);row();str(sd[i]);printf(", \"%016llx\", %d]",(unsigned long long)bits(d),(int)(e-sd[i]));}
  for(int i=0;i<150;i++){char b[64];uint64_t u=rnd();double d=dbl(u);if(isnan(d)||isinf(d)){i--;continue;}snprintf(b,sizeof b,i%3==0?"%.17g":i%3==1?"%.16g":"%.20e",d);char*e;d=strtod(b,&e);row();str(b);printf(", \"%016llx\", %d]",(unsigned long long)bits(d),(int)(e-b));}
  open_("strtof");
  const char*sf[]={"0.1","1.00000017881393432617187499","1.00000017881393432617187500","1.00000017881393432617187501","3.4028235e38","3.4028236e38","3.40282357e38","1e39","1e-45","7e-46","7.1e-46","1.4e-45","16777217","16777219","0x1.000001p0","0x1.0000011p0","1.17549435e-38","1.17549429e-38"};
  for(unsigned i=0;i<sizeof sf/sizeof*sf;i++){float f=strtof(sf[i],0);uint32_t u;memcpy(&u,&f,4);row();str(sf[i]);printf(", \"%08x\"]",u);}
  open_("strtoll");
  struct{const char*t;int b;}sl[]={{"0",10},{"  -42x",10},{"0x1f",16},{"0x1f",0},{"077",0},{"077",8},{"089",0},{"z",36},{"9223372036854775807",10},{"9223372036854775808",10},{"-9223372036854775808",10},{"-9223372036854775809",10},{"+5",10},{"0x",16},{"0xg",0},{"",10},{"-",10},{"1010",2},{"12",2},{"\t\n 7",10},{"99999999999999999999",10}};
  for(unsigned i=0;i<sizeof sl/sizeof*sl;i++){char*e;long long v=strtoll(sl[i].t,&e,sl[i].b);row();str(sl[i].t);printf(", %d, \"%lld\", %d]",sl[i].b,v,(int)(e-sl[i].t));}
  open_("strtoull");
  for(unsigned i=0;i<sizeof sl/sizeof*sl;i++){char*e;unsigned long long v=strtoull(sl[i].t,&e,sl[i].b);row();str(sl[i].t);printf(", %d, \"%llu\", %d]",sl[i].b,v,(int)(e-sl[i].t));}
  open_("math1");
  struct{const char*n;double(*f)(double);}m1[]={{"sin",sin},{"cos",cos},{"tan",tan},{"asin",asin},{"acos",acos},{"atan",atan},{"sinh",sinh},{"cosh",cosh},{"tanh",tanh},{"exp",exp},{"exp2",exp2},{"expm1",expm1},{"log",log},{"log2",log2},{"log10",log10},{"log1p",log1p},{"sqrt",sqrt},{"cbrt",cbrt},{"floor",floor},{"ceil",ceil},{"trunc",trunc},{"round",round},{"rint",rint},{"fabs",fabs},{"logb",logb}};
  double xs[]={0.0,-0.0,0.5,-0.5,1.0,-1.0,1.5,2.5,-2.5,3.7,10.0,0.1,100.25,1e-8,700.0,-700.0,0.9999999,4503599627370497.5,INFINITY,-INFINITY,1e300,2.0,8.0,1000.0};
  for(unsigned j=0;j<sizeof m1/sizeof*m1;j++)for(unsigned i=0;i<sizeof xs/sizeof*xs;i++){double r=m1[j].f(xs[i]);row();str(m1[j].n);printf(", \"%016llx\", \"%016llx\"]",(unsigned long long)bits(xs[i]),(unsigned long long)(isnan(r)?0x7ff8000000000000ULL:bits(r)));}
  open_("math2");
  struct{const char*n;double(*f)(double,double);}m2[]={{"pow",pow},{"fmod",fmod},{"atan2",atan2},{"hypot",hypot},{"fmax",fmax},{"fmin",fmin},{"remainder",remainder},{"copysign",copysign},{"fdim",fdim},{"nextafter",nextafter}};
  double ys[]={0.0,-0.0,1.0,-1.0,2.0,0.5,-0.5,3.0,10.0,-2.5,1e10,INFINITY};
  for(unsigned j=0;j<sizeof m2/sizeof*m2;j++)for(int a=0;a<12;a++)for(int b=0;b<12;b++){if((a*5+b*3+j)%2)continue;double r=m2[j].f(ys[a],ys[b]);row();str(m2[j].n);printf(", \"%016llx\", \"%016llx\", \"%016llx\"]",(unsigned long long)bits(ys[a]),(unsigned long long)bits(ys[b]),(unsigned long long)(isnan(r)?0x7ff8000000000000ULL:bits(r)));}
  open_("ldexp");
  double ls[]={1.0,0.75,-3.5,5e-324,1.7976931348623157e308};int es[]={0,1,-1,1023,1024,-1022,-1074,-1075,-2000,2000,52,-52};
  for(int a=0;a<5;a++)for(int b=0;b<12;b++){row();printf("\"%016llx\", %d, \"%016llx\"]",(unsigned long long)bits(ls[a]),es[b],(unsigned long long)bits(ldexp(ls[a],es[b])));}
  open_("frexp");
  for(unsigned i=0;i<sizeof xs/sizeof*xs;i++){if(isinf(xs[i]))continue;int e;double f=frexp(xs[i],&e);row();printf("\"%016llx\", \"%016llx\", %d]",(unsigned long long)bits(xs[i]),(unsigned long long)bits(f),e);}
  open_("strftime");
  const char*ft[]={"%Y-%m-%d %H:%M:%S","%a %A %b %B","%j %U %W %w %u","%I %p %y %C","%G-%V %g","%D %F %T %R","%e|%n|%t|%%","%c"};
  long long ts[]={0,951782400,1704067200,1735689599,1230768000,1609459200,32503679999LL,1078012800};
  for(unsigned j=0;j<8;j++)for(int i=0;i<8;i++){time_t t=ts[i];struct tm m;gmtime_r(&t,&m);char b[256];strftime(b,sizeof b,ft[j],&m);row();str(ft[j]);printf(", %lld, ",ts[i]);str(b);printf("]");}
  open_("sscanf");
  {struct{const char*t,*f;}sc[]={{"12 abc","%d %s"},{"0x1F","%i"},{"077","%i"},{"077","%d"},{" -5","%d"},{"abc","%d"},{"","%d"},{"12,34","%d,%d"},{"12;34","%d,%d"},{"12345","%3d%d"},{"ff","%x"},{"0xff","%x"},{"hello world","%s %s"},{"hello","%2s%s"},{"abc123","%[a-z]%d"},{"abc]","%[]abc]"},{"xyz","%[^y]%c"},{"a b","%c%c%c"},{"  a","%c"},{"50%","%d%%"},{"1 2 3","%*d %d %d"}};
  for(unsigned i=0;i<sizeof sc/sizeof*sc;i++){int isstr[3]={0};int n=0;for(const char*p=sc[i].f;*p;p++)if(*p=='%'){p++;if(*p=='%')continue;int sup=0;if(*p=='*'){sup=1;p++;}while(isdigit((unsigned char)*p))p++;int st=*p=='s'||*p=='['||*p=='c';if(*p=='['){p++;if(*p=='^')p++;if(*p==']')p++;while(*p!=']')p++;}if(!sup&&n<3)isstr[n++]=st;}
    char b[3][32];memset(b,0,sizeof b);int r=sscanf(sc[i].t,sc[i].f,b[0],b[1],b[2]);row();str(sc[i].t);printf(", ");str(sc[i].f);printf(", %d",r);for(int k=0;k<r&&k<3;k++){printf(", ");if(isstr[k])str(b[k]);else{int v;memcpy(&v,b[k],4);printf("%d",v);}}printf("]");}}
  printf("\n  ]\n}\n");
}
